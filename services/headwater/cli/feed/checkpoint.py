"""How far a file was ingested: rows done and their outcomes, in a small file named after content and options.

Only a shortcut: sending a row again is always safe, the ledger answers `duplicate`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from headwater.cli.stack.state import write_whole
from headwater.client.outcomes import Accepted, Duplicate, Outcome, Quarantined, Refused

_CHUNK_BYTES: Final = 1 << 20
_NAMES: Final[dict[type[Outcome], str]] = {
    Accepted: "accepted",
    Duplicate: "duplicate",
    Quarantined: "quarantined",
    Refused: "refused",
}


@dataclass(slots=True)
class Tally:
    """What became of the rows so far.

    Args:
        rows_done: rows of the file that are acknowledged or named unreadable, from the first one on.
        counts: rows by outcome; `unreadable.<reason>` for those that are no events.
        notes: rows by note, as `date_from_envelope`.
    """

    rows_done: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)

    def count(self, outcomes: Iterable[str], rows: int) -> None:
        """Add the outcomes of the next *rows* rows."""
        for name in outcomes:
            self.counts[name] = self.counts.get(name, 0) + 1
        self.rows_done += rows

    def note(self, name: str) -> None:
        """Count a note."""
        self.notes[name] = self.notes.get(name, 0) + 1


def outcome_name(outcome: Outcome) -> str:
    """Return the name under which an outcome is counted."""
    return _NAMES[type(outcome)]


def checkpoint_path(directory: Path, file: Path, options: Mapping[str, str]) -> Path:
    """Return where the checkpoint of this content under these options lies."""
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    digest.update(msgspec.json.encode(sorted(options.items())))
    return directory / f"{digest.hexdigest()[:32]}.json"


def read_tally(path: Path) -> Tally:
    """Return the tally on file, an empty one when there is none or it is no tally."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Tally)
    except (FileNotFoundError, msgspec.DecodeError):
        return Tally()


def write_tally(path: Path, tally: Tally) -> None:
    """Replace the tally on file."""
    write_whole(path, msgspec.json.encode(tally))
