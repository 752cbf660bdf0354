"""How durations and span kinds read, on the page as in the terminal. Pure."""

from typing import Final

_STEPS: Final = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))

KIND_SIGNS: Final = {"SERVER": "◀", "CLIENT": "▶", "PRODUCER": "↑", "CONSUMER": "↓"}
"""One character for a span's kind; internal spans have none."""


def duration(nanoseconds: int) -> str:
    """Write a duration with three digits: `1.25 ms`."""
    for unit_ns, unit in _STEPS:
        if nanoseconds >= unit_ns:
            return (
                f"{nanoseconds / unit_ns:.3g} {unit}"
                if nanoseconds < 1_000 * unit_ns
                else f"{nanoseconds // unit_ns} {unit}"
            )
    return f"{nanoseconds} ns"
