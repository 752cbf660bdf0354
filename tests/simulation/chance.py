"""Seeded chance: one independent stream per purpose, so that a new die here does not move the others.

Owns how a seed becomes numbers. Must not read the system's random source.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from typing import Final

_MASK: Final = (1 << 64) - 1


def mixed(seed: int, *numbers: int) -> int:
    """Return 64 well mixed bits of *seed* and *numbers*.

    Source: the finaliser of SplitMix64 (Steele, Lea, Flood 2014).
    """
    value = seed & _MASK
    for number in numbers:
        value = (value + 0x9E3779B97F4A7C15 + (number & _MASK) * 0xD1B54A32D192ED03) & _MASK
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        value ^= value >> 31
    return value


def stream(seed: int, purpose: str) -> random.Random:
    """Return the dice of *purpose* under *seed*; the same in every process and run."""
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def named_uuid(*parts: object) -> uuid.UUID:
    """Return the UUID that *parts* name."""
    text = "/".join(str(part) for part in parts)
    return uuid.UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest())
