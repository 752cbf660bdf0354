"""The port of a vendor that tells changes over a stream. Values and a port; no I/O.

What a stream tells is that records have changed, not how they are: they are read by id then, as a webhook's are. So a
stream, a webhook and a poll tell one event of one state, in whichever order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from headwater.connectors.base.errors import CallFailed, VendorError

WINDOW_MAX: Final = 100
"""Changes that a stream may have under way to us at most."""


class MarkLost(CallFailed):
    """The vendor cannot go on from the mark: it is older than what is kept, or none of the vendor's."""

    def __init__(self, error: VendorError) -> None:
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class Listened:
    """What is listened to.

    Args:
        topic: the vendor's name of the stream.
        fields: of each CRM object, the fields that are read; objects that are not among them are nobody's concern.
        window: changes that may be under way to us at once, 1..100.
        address: host and port, where the vendor's usual one will not do.
    """

    topic: str
    fields: Mapping[str, frozenset[str]]
    window: int = WINDOW_MAX
    address: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came at once.

    Args:
        wanted: CRM object and CRM id of records to be read, in order, each once.
        missed: CRM objects of which the vendor says that it did not tell all: a poll has to.
        unread: changes of fields, or of objects, that nobody reads.
        mark: where to go on once all of this is kept; "" where the vendor said nothing of it.
        unreadable: changes that could not be made out; *missed* says what to poll for them.
    """

    wanted: tuple[tuple[str, str], ...] = ()
    missed: frozenset[str] = field(default=frozenset())
    unread: int = 0
    mark: str = ""
    unreadable: int = 0


class Hearing(Protocol):
    """An open stream."""

    async def next(self) -> Heard:
        """Return what comes next; asking says that everything before is kept, and makes room for more.

        Raises: CallFailed when the stream ends, whatever ends it; MarkLost when the vendor cannot go on from the mark.
        """
        ...


@runtime_checkable
class Announcing(Protocol):
    """A vendor that tells changes over streams; its connectors are listeners."""

    def topics(self, crm_objects: Sequence[str]) -> Sequence[str]:
        """Return the streams that tell the changes of these CRM objects; pure."""
        ...


@runtime_checkable
class Listener(Protocol):
    """A connector whose vendor tells changes over streams."""

    def listen(self, listened: Listened, mark: str) -> AbstractAsyncContextManager[Hearing]:
        """Open a stream for the block.

        Args:
            mark: a `Heard.mark` to go on behind; "": with what is told from now on.

        Raises: CallFailed, also MarkLost.
        Cancellation: what was told and is not kept is told again behind the mark.
        """
        ...
