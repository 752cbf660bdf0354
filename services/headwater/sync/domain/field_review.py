"""Which mapped fields of an account are in use, and where scopes and grants are wider than that. Pure.

a mapped field no record ever had a value of                        unused: never
one whose newest value, that way, is older than `STALE_DAYS`        unused: not since
a line of the scopes that allows what no mapping does               wider scope
a mapping that the scopes bar without a line: a secret              not written
OAuth scopes granted and not needed, needed and not granted         wider grant, narrower grant
an account whose backup is its owner                                owner
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from headwater.connectors.base.scopes import GrantFit
from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.scopes import Access
from headwater.sync.domain.rows import from_micros
from headwater.sync.domain.schema_review import Finding

STALE_DAYS: Final = 90.0
"""Age from which a field counts as unused; REQUIREMENTS A12: quarterly."""


@dataclass(frozen=True, slots=True)
class MappedField:
    """One field of a mapping, in one direction.

    Args:
        crm_object: empty of what is read: a source's reading names no object of the CRM.
        crm_field: the CRM's name, or path, of it.
        place: path of the mapping's line.
    """

    way: Literal["read", "write"]
    object: ObjectName
    field: str
    crm_object: str
    crm_field: str
    place: str


@dataclass(frozen=True, slots=True)
class Use:
    """What is known of a field's use: records with a value, and when the newest became true."""

    records: int = 0
    newest_time: dt.datetime | None = None

    def plus(self, records: int, micros: int) -> Use:
        """Return this use with that of another page."""
        time = from_micros(micros) if micros else None
        times = [one for one in (self.newest_time, time) if one is not None]
        return Use(self.records + records, max(times, default=None))


@dataclass(slots=True)
class Tally:
    """Use, page by page.

    Args:
        read: object and canonical field, of records of the account's system.
        held: CRM object and CRM field, of what the CRM is known to hold.
        values: object and canonical field, of the entities that are written.
        complete: False when there was more than one run looks at.
    """

    read: dict[tuple[str, str], Use] = field(default_factory=dict)
    held: dict[tuple[str, str], Use] = field(default_factory=dict)
    values: dict[tuple[str, str], Use] = field(default_factory=dict)
    records: int = 0
    complete: bool = True

    def of(self, item: MappedField) -> Use:
        """Return the use of a mapped field: what is written counts when the CRM holds it."""
        if item.way == "read":
            return self.read.get((item.object, item.field), Use())
        held = self.held.get((item.crm_object, item.crm_field), Use())
        value = self.values.get((item.object, item.field), Use())
        return Use(held.records, value.newest_time if held.records else None)


def mapped_fields(document: PolicyDocument, connector: str) -> tuple[MappedField, ...]:
    """Return every mapped field of an account, in each direction in which it goes."""
    account = document.connectors[connector]
    system = document.systems[account.system]
    read = [
        MappedField(
            "read", name, item.field, "", path, f"systems.{account.system}.inbound.{name}.fields.{path}"
        )
        for name, inbound in system.inbound.items()
        for path, item in inbound.readings()
    ]
    written = [
        MappedField(
            "write", name, item.field, target.target, crm,
            f"connectors.{connector}.objects.{name}.{number}.fields.{crm}",
        )
        for name, targets in account.objects.items()
        for number, target in enumerate(targets)
        if target.direction != "in"
        for crm, item in target.fields.items()
        if item.field is not None
    ]  # fmt: skip
    return (*read, *written)


def review(
    document: PolicyDocument, connector: str, tally: Tally, fit: GrantFit | None, now: dt.datetime
) -> list[Finding]:
    """Return what is to be said of an account's fields, scopes, grant and owners."""
    return [
        *_unused(mapped_fields(document, connector), tally, now),
        *_wide_scopes(document, connector),
        *(
            Finding(item.place, "not written", item.why)
            for item in document.left_out
            if item.connector == connector and not item.line
        ),
        *_grant(fit),
        *_owners(document, connector),
    ]


def field_rows(document: PolicyDocument, connector: str, tally: Tally) -> list[dict[str, Any]]:
    """Return each mapped field with its use, as the report keeps it."""
    rows = []
    for item in mapped_fields(document, connector):
        use = tally.of(item)
        newest = use.newest_time.isoformat() if use.newest_time else ""
        rows.append(
            {
                "way": item.way,
                "object": item.object,
                "field": item.field,
                "crm": f"{item.crm_object}.{item.crm_field}" if item.crm_object else item.crm_field,
                "class": document.objects[item.object].fields[item.field].field_class,
                "records": use.records,
                "newest_time": newest,
            }
        )
    return rows


def _unused(fields: Iterable[MappedField], tally: Tally, now: dt.datetime) -> Iterator[Finding]:
    if not tally.complete:
        return  # what was not looked at may be in use
    for item in fields:
        use = tally.of(item)
        verb = "read" if item.way == "read" else "written"
        if not use.records:
            yield Finding(item.place, "unused", f"{item.object}.{item.field} was never {verb} with a value")
        elif use.newest_time is not None and now - use.newest_time > dt.timedelta(days=STALE_DAYS):
            since = f"{use.newest_time:%Y-%m-%d}"
            yield Finding(
                item.place, "unused", f"{item.object}.{item.field}: nothing new was {verb} since {since}"
            )


def _wide_scopes(document: PolicyDocument, connector: str) -> Iterator[Finding]:
    """Yield lines that allow a way which none of the fields that they are about goes."""
    scopes = document.connectors[connector].scopes
    ways = _ways(document, connector)
    root = f"connectors.{connector}.scopes"
    for name, line in scopes.classes.items():
        about = {key for key in ways if _class_of(document, key) == name}
        yield from _wide(f"{root}.classes.{name}", line, ways, about)
    for object_name, part in scopes.objects.items():
        own = {key for key in ways if key[0] == object_name}
        path = f"{root}.objects.{object_name}"
        if part.access is not None:
            yield from _wide(f"{path}.access", part.access, ways, own)
        for name, line in part.classes.items():
            about = {key for key in own if _class_of(document, key) == name}
            yield from _wide(f"{path}.classes.{name}", line, ways, about)
        for field_name, line in part.fields.items():
            alone = {key for key in own if key[1] == field_name}
            yield from _wide(f"{path}.fields.{field_name}", line, ways, alone)


Ways = Mapping[tuple[str, str], frozenset[str]]


def _ways(document: PolicyDocument, connector: str) -> Ways:
    found: dict[tuple[str, str], set[str]] = {}
    for item in mapped_fields(document, connector):
        found.setdefault((item.object, item.field), set()).add(item.way)
    return {key: frozenset(ways) for key, ways in found.items()}


def _class_of(document: PolicyDocument, key: tuple[str, str]) -> str:
    return document.objects[key[0]].fields[key[1]].field_class  # type: ignore[index]


def _wide(path: str, line: Access, ways: Ways, about: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    used = {way for key in about for way in ways[key]}
    allowed = {"write" if word.startswith("write") else word for word in line} - {"never"}
    if needless := sorted(allowed - used):
        verbs = " and ".join(needless)
        yield Finding(path, "wider scope", f"allows to {verbs}, and no mapping does")


def _grant(fit: GrantFit | None) -> Iterator[Finding]:
    if fit is not None and fit.needless:
        yield Finding("", "wider grant", f"not needed: {', '.join(fit.needless)}")
    if fit is not None and fit.missing:
        yield Finding("", "narrower grant", f"lacks {', '.join(fit.missing)}")


def _owners(document: PolicyDocument, connector: str) -> Iterator[Finding]:
    account = document.connectors[connector]
    if account.owner.strip().casefold() == account.backup.strip().casefold():
        yield Finding(
            f"connectors.{connector}.backup", "owner", f"{account.backup} is owner and backup: name another"
        )
