"""Releasing a group of quarantined events, one after the other at a rate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import msgspec
from rich.progress import Progress

from headwater.cli.correcting import read_corrections
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import HeadwaterError, InvalidInput, PreconditionFailed

KEPT_SHOWN_MAX: Final = 100
"""Events that stay, as listed with their reasons."""
_PAGE_SIZE: Final = 200


class StillBroken(HeadwaterError):
    """Some of the events could not be released."""

    default_reason = "CONTRACT_BROKEN"


@dataclass(frozen=True, slots=True)
class Group:
    """Which open events are meant; an empty text means any, but not all may be empty."""

    rule: str
    field: str
    source: str


@dataclass(slots=True)
class Released:
    """What became of a group's events; *kept* are those that stay, with the reason."""

    released: int = 0
    kept: dict[str, str] = field(default_factory=dict)

    def document(self, *, dry_run: bool) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"released_count": self.released, "kept": self.kept, "dry_run": dry_run}


async def release_group(
    services: Services,
    session: Session,
    group: Group,
    values: Sequence[str],
    rate_per_s: float,
    *,
    apply: bool,
) -> Released:
    """Release every open event of *group*, with *values* set in its payload; or only count them.

    Raises:
        InvalidInput: the group is everything, or a value is no FIELD=VALUE.
    """
    if not (group.rule or group.field or group.source):
        raise InvalidInput("say which events: --rule, --field or --source")
    fields = read_corrections(values, ()) if values else {}
    done = Released()
    with Progress(console=session.output.err, disable=session.output.as_json or not apply) as bar:
        task = bar.add_task("releasing", total=None)
        async for entry in _open_events(services, session.tenant_id, group):
            if apply:
                await _release(services, session, entry, fields, done)
                bar.update(task, advance=1)
                await anyio.sleep(1.0 / rate_per_s)
            else:
                done.released += 1
            if len(done.kept) >= KEPT_SHOWN_MAX:
                break
    return done


async def _open_events(
    services: Services, tenant_id: str, group: Group
) -> AsyncIterator[ingest_pb2.QuarantinedEvent]:
    token = ""
    while True:
        request = ingest_pb2.ListQuarantineRequest(
            tenant_id=tenant_id,
            page_size=_PAGE_SIZE,
            page_token=token,
            rule=group.rule,
            field=group.field,
            source=group.source,
        )
        page = await services.ask(services.ingest.ListQuarantine, request)
        for entry in page.events:
            yield entry
        token = page.next_page_token
        if not token:
            return


async def _release(
    services: Services,
    session: Session,
    entry: ingest_pb2.QuarantinedEvent,
    fields: dict[str, str | None],
    done: Released,
) -> None:
    payload = b""
    if fields:
        payload = msgspec.json.encode({**msgspec.json.decode(entry.event.event.payload), **fields})
    request = ingest_pb2.ReleaseQuarantinedRequest(
        tenant_id=session.tenant_id, event_key=entry.event.event_key, payload=payload, actor=session.actor
    )
    try:
        await services.ask(services.ingest.ReleaseQuarantined, request)
    except PreconditionFailed as error:
        done.kept[entry.event.event_key] = error.message
    else:
        done.released += 1
