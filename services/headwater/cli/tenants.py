"""The tenants of `headwater run`: which one is under way, which are done. A small file in the data directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from headwater.cli.stack.state import write_whole


@dataclass(frozen=True, slots=True)
class RunBook:
    """What is known of the runs so far.

    Args:
        number: of the newest run, from 1; 0 before the first.
        finished: the newest run was accounted for completely.
    """

    number: int = 0
    finished: bool = True

    @property
    def tenant_id(self) -> str:
        """Tenant of the newest run."""
        return f"run-{self.number}"

    def begin(self) -> RunBook:
        """Return the book of the run to do now: the interrupted one, or a fresh one."""
        return RunBook(self.number + 1, finished=False) if self.finished else self

    def finish(self) -> RunBook:
        """Return the book once the run is complete."""
        return replace(self, finished=True)


def read_book(path: Path) -> RunBook:
    """Return the book on file, an empty one when there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunBook)
    except (FileNotFoundError, msgspec.DecodeError):
        return RunBook()


def write_book(path: Path, book: RunBook) -> None:
    """Replace the book on file."""
    write_whole(path, msgspec.json.encode(book))


def newest_tenant(path: Path) -> str | None:
    """Return the tenant of the newest run, None before the first."""
    book = read_book(path)
    return book.tenant_id if book.number else None
