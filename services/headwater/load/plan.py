"""What a run is to do, told once to every sender process; and the words that they and their parent exchange.

Parent to sender, one JSON document a line: `Plan`, then `Go` for each phase, then the end of the file.
Sender to parent: {"ready": true}, then a line per interval of each phase, the last one with "done".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from headwater.kernel.security.calling import ChannelSecurity
from headwater.load.schedule import Arrivals, Piece
from headwater.load.supply import Mixture

INTERVAL_S = 0.5
"""Time that one report of a sender covers; warm-up and durations are rounded to it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that stays the same through a run.

    Args:
        run_tag: 8 characters, new for every run: the unique part of all ids.
        processes: how many senders there are.
        sender: which one this is, from 0.
        lanes: streams, or callers, of this process.
        channels: connections of this process.
        seed: of this sender.
        security: what the senders show; handed to them over their standard input.
    """

    address: str
    run_tag: str
    mixture: Mixture
    processes: int = 1
    sender: int = 0
    lanes: int = 4
    channels: int = 4
    window: int = 8
    timeout_s: float = 10.0
    honour_retry: bool = True
    verify: bool = False
    arrivals: Arrivals = "constant"
    seed: int = 1
    security: ChannelSecurity = field(default_factory=ChannelSecurity)


@dataclass(frozen=True, slots=True)
class Go:
    """One phase.

    Args:
        begin_s: of `time.monotonic`, which every process of a machine shares.
        profile: of this sender, in events; empty for a closed loop.
    """

    begin_s: float
    duration_s: float
    profile: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What one sender saw in one interval.

    Args:
        index: of the interval, from 0, by the time of the answers.
        sheet: `meter.Sheet.plain`.
        done: the phase is over for this sender, everything answered or given up.
    """

    index: int
    sheet: dict[str, Any] = field(default_factory=dict)
    done: bool = False


def encode_line(value: Plan | Go | Report) -> bytes:
    """Return one line."""
    return msgspec.json.encode(value) + b"\n"
