"""The contract of one source and object, compiled: says "keeps it" in a microsecond, or "look closer". Pure.

`keeps` never says yes where `inbound.canonicalise` finds a violation (a property test holds them together); where
it says no, `canonicalise` decides and names every rule. The checks of single fields are one msgspec type,
converted to in C; what a type cannot say is a short list of functions.

There are two such types. The plain one knows values only as most senders give them, and its texts' formats are
checked together by one regular expression: a call of one costs more than most texts take to match. The wide one
takes every value that a type can tell to be fine, and is asked where the plain one says no.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Final, Literal, Union

import msgspec
from msgspec import Meta

from headwater.kernel.ids import ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import agrees, reach
from headwater.policy.objects import FieldPolicy, ObjectPolicy
from headwater.policy.systems import Inbound, InboundField
from headwater.policy.values import EMAIL_PATTERN, Broken, read_value
from headwater.policy.words import FieldType

Payload = dict[str, Any]
Keeps = Callable[[Payload], bool]

READINGS_KEPT: Final = 2048
"""Values of one field at hand whose reading no pattern can tell, as dates in a source's own format."""

_EXACT: Final = 2**53
_DAY: Final = (
    r"[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_MOMENT: Final = (
    _DAY + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{3}|\.[0-9]{6})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-2]):[0-5][0-9])?"
)
_PATTERNS: Final[dict[FieldType, str]] = {
    "email": r"[A-Za-z0-9._+-]{1,64}@(?:[A-Za-z0-9]{1,63}\.)+[A-Za-z]{2,63}|" + EMAIL_PATTERN,
    "phone": r"\+?[0-9]{5,17}|(?:[ ().+/-]*[0-9]){5,17}[ ().+/-]*",
    "url": r"[^\s.]*\.\S*",
    "date": _DAY,
    "datetime": _MOMENT,
    "number": r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?",
    "integer": r"-?[0-9]{1,15}",
}
"""Texts that `values.read_value` certainly takes, the usual form first where the whole rule costs more."""
_CHARS: Final[dict[FieldType, int]] = {"date": 10, "datetime": 32}
"""The longest canonical value of a type whose values are rewritten."""

_PLAIN: Final[dict[FieldType, str]] = {
    "email": r"[A-Za-z0-9._+-]{1,64}+@[A-Za-z0-9]{1,30}+(?:-[A-Za-z0-9]{1,30}+)?+\.(?:[A-Za-z0-9]{1,63}\.)*[A-Za-z]{2,63}",
    "phone": (
        r"\+?[0-9]{5,17}+|"
        r"[+(]?[0-9]{1,3}+[ ()./-]{1,2}+[0-9]{1,4}+[ ()./-]{1,2}+[0-9]{3,6}+(?:[ ()./-]{1,2}+[0-9]{1,4}+)?+"
    ),
    "url": r"[^\s.]*+\.\S*+",
    "date": r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|" + _DAY,
    "datetime": _MOMENT,
}
"""The usual forms of `_PATTERNS`, without what must look back. None takes a line's end: that stands between texts."""
_SOME_TEXT: Final = r"[^\S\n]*+\S[^\n]*+"
"""One line that is not blank."""


class _Participant(msgspec.Struct):
    address: str


def compile_contract(document: PolicyDocument, source: str, object_name: ObjectName) -> Keeps | None:
    """Return the check of what *source* sends as *object_name*; None where every event needs a closer look."""
    system = document.systems.get(source)
    inbound = system.inbound.get(object_name) if system else None
    if inbound is None or source in document.enrichers:
        return None
    policy = document.objects[object_name]
    paths: dict[str, list[str]] = {}
    for path, reading in inbound.readings():
        paths.setdefault(reading.field, []).append(path)
    if not _can_tell(policy, inbound, paths) or any(_hangs_on_country(policy.fields[name]) for name in paths):
        return None
    wide: dict[str, Any] = {}
    plain: dict[str, Any] = {}
    formats: dict[str, str] = {}
    checks: list[Keeps] = []
    for path, reading in inbound.readings():
        field = policy.fields[reading.field]
        alone = field.required and len(paths[reading.field]) == 1
        kind = _kind(field, reading, required=alone)
        if kind is None:
            checks.append(_reading_check(path, field, reading, required=alone))
            continue
        plain_kind, pattern = _plain(field, kind, required=alone)
        if pattern:
            formats[path] = pattern
        if not _plant(wide, path.split("."), kind) or not _plant(plain, path.split("."), plain_kind):
            return None
        if "." in path:  # a key that is spelled with dots goes before the nested one
            wide[path] = plain[path] = (Literal["\0"] | None, True)
    checks.extend(_presence_checks(policy, paths))
    if policy.consistent:
        checks.append(lambda payload: agrees(policy, inbound, payload))
    return _keeps(_plain_check(plain, formats), _shape("Payload", wide), tuple(checks))


def _can_tell(policy: ObjectPolicy, inbound: Inbound, paths: dict[str, list[str]]) -> bool:
    """Tell whether it is to be seen at once which fields are there."""
    if any("" in reading.values.values() for _, reading in inbound.readings()):
        return False  # a text that stands for none
    return all(name in paths for name, item in policy.fields.items() if item.required)


def _hangs_on_country(field: FieldPolicy) -> bool:
    """Tell whether what the contract asks of a value depends on another field."""
    steps = field.steps
    return steps is not None and steps.asks_country and bool(field.allowed or field.is_special)


def _keeps(is_plain: Keeps, shape: type, checks: tuple[Keeps, ...]) -> Keeps:
    convert, broken = msgspec.convert, msgspec.ValidationError

    def keeps(payload: Payload) -> bool:
        if not is_plain(payload):
            try:
                convert(payload, shape)
            except broken:
                return False
        for check in checks:  # noqa: SIM110 - a generator costs more than most checks
            if not check(payload):
                return False
        return True

    return keeps


def _plain_check(tree: dict[str, Any], formats: dict[str, str]) -> Keeps:
    """Return the check by the plain type: one conversion, and one match of all texts that have a format."""
    convert, broken, shape = msgspec.convert, msgspec.ValidationError, _shape("Plain", tree)
    if not formats:
        return lambda payload: _is(payload, shape)
    first, *others = (_place(tree, path) for path in formats)
    texts_of = attrgetter(first, *others) if others else lambda read: (attrgetter(first)(read),)
    matches = re.compile("\n".join(f"(?:{pattern})" for pattern in formats.values())).fullmatch
    lines = "\n".join

    def is_plain(payload: Payload) -> bool:
        try:
            texts = texts_of(convert(payload, shape))
        except (broken, AttributeError):  # the latter: a whole branch of the payload is not there
            return False
        if None in texts:
            texts = tuple([text or "" for text in texts])
        return matches(lines(texts)) is not None

    return is_plain


def _is(payload: Payload, shape: type) -> bool:
    try:
        msgspec.convert(payload, shape)
    except msgspec.ValidationError:
        return False
    return True


def _plain(
    field: FieldPolicy, wide: tuple[Any, bool], *, required: bool
) -> tuple[tuple[Any, bool], str | None]:
    """Return the type of a field's plain values, and the pattern of those that are texts with a format."""
    pattern = _PLAIN.get(field.type)
    if field.allowed or field.type == "participants":
        return wide, None
    if field.type == "boolean":
        kind: Any = bool
    elif field.type in {"number", "integer"}:
        kind = Annotated[int, Meta(ge=-_EXACT, le=_EXACT)]
        if field.type == "number":
            kind |= Annotated[float, Meta(ge=-1e300, le=1e300)]
    else:
        kind = Annotated[str, Meta(max_length=1024 if field.type in _CHARS else field.chars_max)]
        if required:
            return (kind, False), pattern or _SOME_TEXT
        pattern = f"(?:{pattern})?" if pattern else None
    return (kind if required else kind | None, not required), pattern


def _place(tree: dict[str, Any], path: str) -> str:
    """Return where the struct of *tree* has the value of a path, as `attrgetter` takes it."""
    names: list[str] = []
    for part in path.split("."):
        names.append(f"f{list(tree).index(part)}")
        tree = tree[part]
    return ".".join(names)


def _kind(field: FieldPolicy, reading: InboundField, *, required: bool) -> tuple[Any, bool] | None:
    """Return the type whose values are fine, and whether it may be left out; None where no type can tell."""
    if reading.expr or reading.values or reading.date_format or field.is_special:
        return None
    kinds = _choices(field, required=required) if field.allowed else _usual(field, required=required)
    if not kinds:
        return None
    return Union[tuple(kinds if required else [*kinds, None])], not required  # noqa: UP007 - made at run time


def _choices(field: FieldPolicy, *, required: bool) -> list[Any]:
    """Return the picklist's values that are read as they stand."""
    plain = InboundField(field="x")
    usual = [text for text in field.allowed if text and read_value(field, plain, text) == text]
    return [Literal[tuple(usual if required else [*usual, ""])]] if usual else []


def _usual(field: FieldPolicy, *, required: bool) -> list[Any]:
    if field.type == "participants":
        return [Annotated[list[_Participant], Meta(max_length=500)]]
    if field.type == "boolean":
        return [bool, Literal["true", "false", "yes", "no"]]
    if field.chars_max < _CHARS.get(field.type, 1):
        return []
    pattern = _PATTERNS.get(field.type)
    if pattern is None:
        text = (
            Meta(max_length=field.chars_max, pattern=r"\S") if required else Meta(max_length=field.chars_max)
        )
    else:
        anchored = rf"\A(?:{pattern})\Z" if required else rf"\A(?:{pattern})?\Z"
        text = Meta(max_length=1024 if field.type in _CHARS else field.chars_max, pattern=anchored)
    kinds: list[Any] = [Annotated[str, text]]
    if field.type in {"number", "integer"} or (pattern is None and field.chars_max >= len(str(-_EXACT))):
        kinds.append(Annotated[int, Meta(ge=-_EXACT, le=_EXACT)])
    if field.type == "number":
        kinds.append(Annotated[float, Meta(ge=-1e300, le=1e300)])
    return kinds


def _reading_check(path: str, field: FieldPolicy, reading: InboundField, *, required: bool) -> Keeps:
    """Return a check that reads the value as the projector will; values come again, so readings are kept."""

    @lru_cache(READINGS_KEPT, typed=True)
    def fine(raw: Any) -> bool:
        value = read_value(field, reading, raw)
        return not isinstance(value, Broken) and (value is not None or not required)

    def check(payload: Payload) -> bool:
        present, raw = reach(payload, path)
        if not present:
            return not required
        if type(raw) is str and len(raw) > 256:  # noqa: PLR2004 - kept readings must stay small
            return False
        return (raw is None and not required) or (type(raw) in {str, int, float, bool} and fine(raw))

    return check


def _presence_checks(policy: ObjectPolicy, paths: dict[str, list[str]]) -> Iterable[Keeps]:
    """Yield a check for each group of fields of which one must have a value."""
    groups = [(name,) for name, item in policy.fields.items() if item.required and len(paths[name]) > 1]
    open_groups = [
        group
        for group in policy.require_any
        if not any(policy.fields[name].required and len(paths[name]) == 1 for name in group)
    ]  # the others have a field that is always there
    for group in (*groups, *open_groups):
        yield _presence_check(tuple(path for name in group for path in paths.get(name, ())))


def _presence_check(candidates: tuple[str, ...]) -> Keeps:
    def check(payload: Payload) -> bool:
        for path in candidates:
            raw = payload.get(path) if "." not in path else reach(payload, path)[1]
            if raw is not None and (type(raw) is not str or (raw and not raw.isspace())):
                return True
        return False

    return check


def _plant(tree: dict[str, Any], parts: list[str], kind: tuple[Any, bool]) -> bool:
    """Put a type at its place; False where the place is taken by another."""
    *above, last = parts
    for part in above:
        inner: Any = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            return False
        tree = inner
    if last in tree:
        return False
    tree[last] = kind
    return True


def _shape(name: str, tree: dict[str, Any]) -> type:
    """Return the struct of a tree of types; what a payload holds besides is not looked at."""
    fields: list[Any] = []
    spelled: dict[str, str] = {}
    for number, (key, kind) in enumerate(tree.items()):
        spelled[f"f{number}"] = key
        if isinstance(kind, dict):
            inner = _shape(f"{name}_{number}", kind)
            needed = any(_is_needed(item) for item in kind.values())
            fields.append((f"f{number}", inner) if needed else (f"f{number}", inner | None, None))
        else:
            fields.append((f"f{number}", kind[0], None) if kind[1] else (f"f{number}", kind[0]))
    fields.sort(key=len)  # what must be there goes first
    return msgspec.defstruct(name, fields, rename=spelled, gc=False)


def _is_needed(kind: Any) -> bool:
    return any(map(_is_needed, kind.values())) if isinstance(kind, dict) else not kind[1]
