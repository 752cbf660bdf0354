"""The engine as it is in product, put together for simulations."""

from __future__ import annotations

from typing import Any, Final

from tests.simulation.pacing import VirtualLimiter
from tests.simulation.process import Parts

from headwater.sync.delivery.gate import pacing


def _paced_exactly(gate: Any) -> Any:
    """Put a limiter for virtual time in: aiolimiter's rounding spins there for ever."""
    inner = gate._gate  # noqa: SLF001 - until the gate takes its limiter as a part
    inner._limiter = VirtualLimiter(*pacing(inner._limits.window), inner.pause_s)  # noqa: SLF001 - as above
    return gate


PRODUCT: Final = Parts(gate=_paced_exactly)
