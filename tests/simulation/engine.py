"""The engine as it is in product, put together for simulations."""

from __future__ import annotations

from typing import Any, Final

from headwater.sync.delivery.gate import pacing
from tests.simulation.pacing import VirtualLimiter
from tests.simulation.process import Parts


def _paced_exactly(gate: Any) -> Any:
    inner = gate._gate
    inner._limiter = VirtualLimiter(*pacing(inner._limits.window), inner.pause_s)
    return gate


PRODUCT: Final = Parts(gate=_paced_exactly)
