"""Exports a tenant's audit from the service to a file, and verifies such files against a second place."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from headwater.audit.checkpoints import Checkpoint, PublicKey, keys_of, read_checkpoint, read_key
from headwater.audit.entries import Entry
from headwater.audit.exports import Front, NoExport, read_entries, read_front, write_front
from headwater.audit.verifying import Verdict, verify
from headwater.cli.checking import bar, checked_blocks
from headwater.cli.durations import seconds_of
from headwater.cli.output import facts
from headwater.cli.services import Services
from headwater.kernel.errors import InvalidInput
from headwater.sync.v1 import audit_pb2 as pb

CHECKPOINTS_A_PAGE: Final = 500
TOGETHER_FROM: Final = 100_000
"""Below, starting processes takes longer than they save."""
BAR_ENTRIES: Final = 1_000
"""Entries after which a bar moves."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What is trusted beside the audit itself.

    Args:
        places: directories of checkpoints that somebody else keeps.
        key_ids: in hexadecimal; only these keys count. Empty: those of the places, without places those told.
    """

    places: Sequence[Path] = ()
    key_ids: Sequence[str] = ()

    def checkpoints(self, tenant_id: str) -> list[list[Checkpoint]]:
        """Return what each place knows of a tenant."""
        return [
            [read_checkpoint(line) for line in _lines(place / f"checkpoints-{tenant_id}.jsonl")]
            for place in self.places
        ]

    def keys(self, told: Sequence[PublicKey]) -> dict[bytes, bytes]:
        """Return the keys that count, of those *told* and those of the places."""
        placed = [read_key(line) for place in self.places for line in _lines(place / "keys.jsonl")]
        keys = keys_of(placed or told)
        if self.key_ids:
            keys |= keys_of(told)
            keys = {key_id: key for key_id, key in keys.items() if key_id.hex() in set(self.key_ids)}
        return keys


async def export_audit(services: Services, tenant_id: str, file: BinaryIO, console: Console) -> Front:
    """Write the whole audit of a tenant to *file*, with a bar; return what stands before the entries."""
    head = await services.ask(services.audit.GetAuditHead, pb.GetAuditHeadRequest(tenant_id=tenant_id))
    checkpoints = await _checkpoints(services, tenant_id)
    file.writelines(line + b"\n" for line in write_front(tenant_id, head.size, list(head.keys), checkpoints))
    after, done = 0, 0
    with bar(console, "reading", head.size) as advance:
        while done == 0 or after:
            request = pb.ReadAuditRequest(tenant_id=tenant_id, after_seq=after)
            page = await services.ask(services.audit.ReadAudit, request)
            file.writelines(line + b"\n" for line in page.entries)
            done, after = done + max(1, len(page.entries)), page.next_after_seq
            advance(len(page.entries))
    return read_front(iter([*write_front(tenant_id, head.size, list(head.keys), checkpoints)]))


async def _checkpoints(services: Services, tenant_id: str) -> list[bytes]:
    found: list[bytes] = []
    while True:
        above = read_checkpoint(found[-1]).size if found else 0
        request = pb.ListAuditCheckpointsRequest(
            tenant_id=tenant_id, above_size=above, page_size=CHECKPOINTS_A_PAGE
        )
        page = (await services.ask(services.audit.ListAuditCheckpoints, request)).checkpoints
        found += page
        if len(page) < CHECKPOINTS_A_PAGE:
            return found


def verify_file(
    path: Path, anchor: Anchor, console: Console, *, together_from: int = TOGETHER_FROM
) -> tuple[Front, Verdict]:
    """Verify an export.

    Args:
        together_from: entries from which more than one process checks them.

    Raises:
        InvalidInput: it is none, or a place cannot be read.
    """
    try:
        with path.open("rb") as file:
            front = read_front(_whole(file))

        def entries() -> Iterator[Entry]:
            with path.open("rb") as file, bar(console, "verifying", front.header.size) as advance:
                found = read_entries(islice(file, front.lines, None))
                while part := list(islice(found, BAR_ENTRIES)):
                    yield from part
                    advance(len(part))

        tenant_id = front.header.tenant_id
        series = [front.checkpoints, *anchor.checkpoints(tenant_id)]
        ours = [[item for item in one if item.tenant_id == tenant_id] for one in series]
        blocks = partial(checked_blocks, path, front, console) if front.header.size >= together_from else None
        return front, verify(entries, ours, anchor.keys(front.keys), blocks)
    except (NoExport, ValueError) as error:
        raise InvalidInput(f"{path}: {error}", reason="NO_EXPORT") from error


def verdict_document(front: Front, verdict: Verdict, anchor: Anchor) -> dict[str, Any]:
    """Return a verdict as JSON values."""
    return {
        "tenant_id": front.header.tenant_id,
        "sound": verdict.is_sound,
        "entries": verdict.entries,
        "sealed": verdict.sealed,
        "checkpoints": verdict.checkpoints,
        "erased": verdict.erased,
        "unconfirmed_erasures": verdict.unconfirmed,
        "root": verdict.root.hex(),
        "places": [str(place) for place in anchor.places],
        "finding": asdict(verdict.finding) if verdict.finding else None,
    }


def verdict_shown(front: Front, verdict: Verdict, anchor: Anchor) -> list[Any]:
    """Return a verdict for people."""
    shown: list[Any] = [
        facts(
            {
                "tenant": front.header.tenant_id,
                "entries": verdict.entries,
                "under a signed checkpoint": verdict.sealed,
                "checkpoints": verdict.checkpoints,
                "values erased by order": verdict.erased or "",
                "erasures not confirmed yet": verdict.unconfirmed or "",
                "root": verdict.root.hex(),
                "second place": ", ".join(map(str, anchor.places))
                or "none: only what the database itself says",
            }
        )
    ]
    if verdict.finding is None:
        return [*shown, "[bold green]sound[/]: every entry is what it was"]
    found = verdict.finding
    until = f" to {found.until_seq}" if found.until_seq > found.seq else ""
    return [*shown, f"[bold red]{found.kind}[/] at number {found.seq}{until}: {found.detail}"]


def moment_of(option: str, text: str) -> Timestamp | None:
    """Return the moment that *text* says: 2h and the like are so long ago. None for none."""
    if not text:
        return None
    stamp = Timestamp()
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds_of(option, text))
    stamp.FromDatetime(moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC))
    return stamp


def _whole(file: BinaryIO) -> Iterator[bytes]:
    return (line.rstrip(b"\n") for line in file)


def _lines(path: Path) -> list[bytes]:
    """Return the lines of a file that are JSON objects in full: a crash may have cut one off."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().split(b"\n") if line.startswith(b"{") and line.endswith(b"}")]
