"""Verifying an export of many entries, as `headwater audit verify --export` does: from the file, with its checkpoints."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from tests.load.ingest.stages import MeasurementFailed
from tests.unit.audit.histories import NOON, OURS, TENANT, entry

from headwater.audit.checkpoints import FIRST, PublicKey, write_line
from headwater.audit.exports import encode, write_front
from headwater.audit.merkle import Tree
from headwater.cli.auditing import Anchor, verify_file

CHECKPOINT_ENTRIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Export:
    """A file, and how many entries are in it."""

    path: Path
    entries: int


@dataclass(frozen=True, slots=True)
class Verified:
    """One verification.

    Args:
        file_bytes: size of the export.
    """

    entries: int
    seconds: float
    file_bytes: int


def write_export(directory: Path, entries: int) -> Export:
    """Write an export of made-up *entries*, with a checkpoint over every 10,000, in the file and in a second place."""
    chance, tree, before = random.Random(1), Tree(), FIRST
    body, checkpoints = directory / "body", []
    with body.open("wb") as file:
        for start in range(1, entries + 1, CHECKPOINT_ENTRIES):
            made = [entry(seq, chance) for seq in range(start, min(start + CHECKPOINT_ENTRIES, entries + 1))]
            file.writelines(encode(item) + b"\n" for item in made)
            tree.append([item.leaf for item in made])
            sealed = OURS.sign(TENANT, tree.size, tree.root(), NOON, before)
            before = sealed.hash
            checkpoints.append(write_line(sealed))
    keys = [write_line(PublicKey(OURS.key_id, OURS.public_key, NOON))]
    path = directory / "audit.jsonl"
    with path.open("wb") as file, body.open("rb") as read:
        file.writelines(line + b"\n" for line in write_front(TENANT, entries, keys, checkpoints))
        while part := read.read(2**20):
            file.write(part)
    body.unlink()
    (directory / f"checkpoints-{TENANT}.jsonl").write_bytes(b"".join(line + b"\n" for line in checkpoints))
    (directory / "keys.jsonl").write_bytes(keys[0] + b"\n")
    return Export(path, entries)


def measure(export: Export) -> Verified:
    """Verify an export once, and make sure that all of it was. Raises: MeasurementFailed."""
    anchor = Anchor([export.path.parent])
    began = time.perf_counter()
    _, verdict = verify_file(export.path, anchor, Console(file=StringIO()))
    seconds = time.perf_counter() - began
    if not verdict.is_sound or verdict.sealed != export.entries:
        raise MeasurementFailed(f"not all was verified: {verdict}")
    return Verified(export.entries, seconds, export.path.stat().st_size)
