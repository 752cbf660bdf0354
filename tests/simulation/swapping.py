"""Putting something weaker in the place of a function or class of the engine, for one run of an ablation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True, slots=True)
class Swap:
    """What *name* means in *module* while a run lasts."""

    module: ModuleType
    name: str
    weaker: Any


@contextmanager
def swapped(swaps: Iterable[Swap]) -> Iterator[None]:
    """Have all of *swaps* in force while the block runs."""
    before = [(swap, getattr(swap.module, swap.name)) for swap in swaps]
    try:
        for swap, _ in before:
            setattr(swap.module, swap.name, swap.weaker)
        yield
    finally:
        for swap, held in before:
            setattr(swap.module, swap.name, held)
