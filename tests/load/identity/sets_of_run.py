"""Which sets a run is over, how each is made, and whose labels dedupe learns from.

Three families: the labelled sets; fresh seeds of the generator beside them (`crm`); and worlds of our own
(`world`), contacts and accounts, which that generator knows nothing of. All are made from fixed seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.load.identity import sets
from tests.load.identity.world.writing import write_world

SEEDS: Final = (501, 502, 503)
TEACHER_SEED: Final = 7
TEACHER_THINGS: Final = 400
"""Of the small sets that labels come from; no set that is measured has it."""
THINGS: Final[Mapping[tuple[str, str], int]] = {
    ("crm", "15k"): 6_200,
    ("crm", "200k"): 83_000,
    ("contacts", "15k"): 6_200,
    ("contacts", "200k"): 83_000,
    ("accounts", "15k"): 5_400,
    ("accounts", "200k"): 72_000,
    ("crm", "2k"): 830,
    ("contacts", "2k"): 830,
    ("accounts", "2k"): 720,
}
"""People or organisations of a size in records."""
FAMILIES: Final = ("crm", "contacts", "accounts")
_TEACHERS: Final[Mapping[str, str]] = {
    "crm_synth_dev": "crm",
    "febrl1": "febrl2",
    "febrl2": "febrl1",
    "febrl3": "febrl1",
    "rldata500": "febrl1",
    "fake_1000": "febrl1",
    "fodors_zagats": "accounts",
    "ror_springer": "accounts",
    "restaurants": "fodors_zagats",
}


@dataclass(frozen=True, slots=True)
class SetOfRun:
    """A set.

    Args:
        family: `labelled`, or what generated it.
        size: of a generated set, in words; empty for a labelled one.
        teacher: the set or family whose labels dedupe gets: never this set's own.
    """

    name: str
    family: str
    teacher: str
    size: str = ""
    seed: int = 0

    def folder(self, into: Path) -> Path:
        """Make the set, once; return its folder."""
        if self.family == "labelled":
            return sets.er_directory() / self.name
        return _made(into, self.family, THINGS[self.family, self.size], self.seed)

    def teacher_folder(self, into: Path) -> Path:
        """Return the folder of the teacher."""
        if self.teacher in FAMILIES:
            return _made(into, self.teacher, TEACHER_THINGS, TEACHER_SEED)
        return sets.er_directory() / self.teacher


def _made(into: Path, family: str, things: int, seed: int) -> Path:
    if family == "crm":
        return sets.generate(into, people=things, seed=seed)
    return write_world(into, family, things=things, seed=seed)


def labelled(names: Sequence[str] = sets.SETS) -> list[SetOfRun]:
    """Return the labelled sets."""
    return [SetOfRun(name, "labelled", _TEACHERS[name]) for name in names]


def fresh(size: str, seeds: Sequence[int]) -> list[SetOfRun]:
    """Return the generated sets of a size, family by family."""
    return [
        SetOfRun(
            f"{'crm' if family == 'crm' else f'world_{family}'}_{size}_{seed}", family, family, size, seed
        )
        for family in FAMILIES
        for seed in seeds
    ]
