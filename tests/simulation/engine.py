"""The engine as it is in product, put together for simulations."""

from __future__ import annotations

from typing import Final

from tests.simulation.process import Parts

PRODUCT: Final = Parts()
"""Every part as the product has it; only the ports' far sides are simulated."""
