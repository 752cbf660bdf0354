"""The simulated event loop: virtual time, seeded order, processes that stop, nothing real."""

from __future__ import annotations

import asyncio
import contextvars
import time

import anyio
import pytest
from tests.simulation.loop import PROCESS, Deadlocked, RealEffectRefused, SimulatedLoop, Spinning


def run(main: object, seed: int = 1) -> object:
    """Run *main* on a simulated loop."""
    return anyio.run(main, backend_options={"loop_factory": lambda: SimulatedLoop(seed)})  # type: ignore[arg-type]


async def _racing() -> list[int]:
    order: list[int] = []

    async def step(number: int) -> None:
        for _ in range(3):
            await anyio.sleep(1)
            order.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(step, number)
    return order


def test_a_day_passes_at_once() -> None:
    """Virtual time jumps to the next timer."""

    async def main() -> float:
        await anyio.sleep(86_400)
        return anyio.current_time()

    began = time.perf_counter()
    assert run(main) == pytest.approx(86_400)
    assert time.perf_counter() - began < 1.0


def test_order_is_the_seeds() -> None:
    """One seed always gives one order; seeds differ."""
    orders = {seed: run(_racing, seed) for seed in range(8)}
    assert all(run(_racing, seed) == order for seed, order in orders.items())
    assert len({str(order) for order in orders.values()}) > 1


def test_a_stopped_process_misses_nothing_and_does_nothing() -> None:
    """What became due while a process was stopped runs when it goes on."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        seen: list[float] = []

        async def tick() -> None:
            for _ in range(3):
                await anyio.sleep(1)
                seen.append(anyio.current_time())

        context = contextvars.copy_context()
        context.run(PROCESS.set, "p")
        task = loop.create_task(tick(), context=context)
        await anyio.sleep(1.5)
        loop.stop_process("p")
        await anyio.sleep(10)
        loop.continue_process("p")
        await task
        return seen

    assert run(main) == pytest.approx([1.0, 11.5, 12.5])


def test_threads_are_refused() -> None:
    """Nothing of a run may depend on a thread."""

    async def main() -> None:
        with pytest.raises(RealEffectRefused):
            await asyncio.to_thread(time.monotonic)

    run(main)


def test_sockets_are_refused() -> None:
    """Nothing of a run may depend on the network."""

    async def main() -> None:
        with pytest.raises(RealEffectRefused):
            await asyncio.open_connection("127.0.0.1", 1)

    run(main)


def test_waiting_for_nothing_is_told() -> None:
    """A run that can never go on ends with an error."""
    with pytest.raises(Deadlocked):
        run(anyio.sleep_forever)


def test_spinning_is_told() -> None:
    """Callbacks that never let time pass end the run."""

    async def main() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(Spinning):
        run(main)
