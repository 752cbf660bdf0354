"""The engine as it is in product, put together for simulations."""

from __future__ import annotations

from typing import Any, Final

from headwater.sync.delivery.actor import AccountNotReady
from headwater.sync.domain.leasing import FenceLost
from tests.simulation.process import Parts, SimulatedHost
from tests.simulation.store.deliveries import MemoryDeliveries


class ProductHost(SimulatedHost):
    """Today's host."""

    async def _run_once(self, key: tuple[str, str], running: Any) -> None:
        store = self._open_store(key[0], key[1], running.lease)
        try:
            await self._open(key, running, store)
        except FenceLost:
            running.scope.cancel()
        except AccountNotReady:
            return
        except Exception as error:  # noqa: BLE001 - the actor edge, as in the product
            self._world.journal.note("actor", "failed", repr(error))


PRODUCT: Final = Parts(ProductHost, MemoryDeliveries)
