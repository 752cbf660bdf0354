"""What can go wrong for a caller of this library, beside what became of an event.

HeadwaterError                 (kernel.errors)
├── InvalidInput               the batch as a whole is malformed; nothing of it is recorded
├── Overloaded, Unavailable    full or away, still so at the end of the client's patience; sending again is safe
├── EventRefused               `record_one`: the event is not recorded; `outcome` says why
├── ContractBroken             ingest answered what its contract does not allow
└── Abandoned                  the recorder's block was left by an error; recorded or not is not known
RuntimeError
├── ClientClosed               used outside its `with` block
└── UsedAfterFork              used in a child process: connections and threads do not survive a fork
"""

from __future__ import annotations

from typing import ClassVar

from headwater.client.outcomes import Refused
from headwater.kernel.errors import HeadwaterError


class EventRefused(HeadwaterError):
    """The ledger refused the event; *outcome* holds key, reason and violations."""

    def __init__(self, outcome: Refused) -> None:
        rules = "; ".join(f"{item.field}: {item.description}" for item in outcome.violations)
        super().__init__(f"event refused: {outcome.reason} {rules}".rstrip(), reason=outcome.reason)
        self.outcome = outcome


class ContractBroken(HeadwaterError):
    """Ingest answered what its contract does not allow: a defect, of no use to try again."""

    default_reason: ClassVar[str] = "CONTRACT_BROKEN"


class Abandoned(HeadwaterError):
    """Given up by its own program before the answer came; sending again is safe and tells."""

    default_reason: ClassVar[str] = "ABANDONED"


class ClientClosed(RuntimeError):
    """Used before its `with` block was entered or after it was left."""


class UsedAfterFork(RuntimeError):
    """Used in a process forked from the one that opened it: open a client in the child instead."""
