"""The port of a signature scheme: what it is given and what it may answer.

A scheme is found by an entry point of the group `headwater.webhook_schemes`, whose object is a `MakeScheme`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verified:
    """The sender holds one of the secrets, and signed these very bytes.

    Args:
        message_id: the same for every sending of one message; covered by the signature.
        signed_time_s: seconds since 1970 as signed; None when the scheme signs no time.
    """

    message_id: str
    signed_time_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not to be trusted; *rule* is a constant of the scheme's code, never a part of the call."""

    rule: str


Verdict = Verified | Rejected

HEADER_MISSING = Rejected("header_missing")
HEADER_REPEATED = Rejected("header_repeated")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP call as it came in.

    Args:
        method: in upper case.
        target: path and query, as sent.
        headers: names in lower case, in the order received; a name may repeat.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    raw_body: bytes

    def header(self, name: str) -> str | Rejected:
        """Return the one value of a header: a signature over repeated headers would be ambiguous."""
        values = [value for key, value in self.headers if key == name.lower()]
        if not values or not values[0]:
            return HEADER_MISSING
        return values[0] if len(values) == 1 else HEADER_REPEATED


@dataclass(frozen=True, slots=True)
class SchemeSettings:
    """What the tenant's policy says of a scheme.

    Args:
        replay_window_s: how far a signed time may lie from ours, both ways.
        options: the scheme's own settings, by name.
    """

    replay_window_s: float = 300.0
    options: Mapping[str, str] = field(default_factory=dict)


class Scheme(Protocol):
    """A way of signing."""

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:
        """Decide whether the holder of one of *secrets* sent this.

        Args:
            secrets: 1..8, any may have signed.
            now_s: seconds since 1970.

        Raises:
            InvalidInput: a secret is not of the scheme's form; the message does not hold it.
        """
        ...


MakeScheme = Callable[[SchemeSettings], Scheme]
"""Makes a scheme; raises InvalidInput for options that it does not know."""


def window_verdict(signed_time_s: float, now_s: float, window_s: float) -> Rejected | None:
    """Return why a signed time is not acceptable; None when it lies in the window."""
    if signed_time_s < now_s - window_s:
        return Rejected("timestamp_stale")
    if signed_time_s > now_s + window_s:
        return Rejected("timestamp_future")
    return None
