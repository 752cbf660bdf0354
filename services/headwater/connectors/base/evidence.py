"""What a connector was proven against, operation by operation: read from the file that the tests that ran have written.

Nothing here is written by hand: `evidence.json` beside the vendor's module is made and checked by
`headwater.connectors.base.testing.evidence`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from headwater.connectors.base.port import Vendor

REAL_SERVER: Final = "real server"
RECORDED: Final = "recorded"
VENDOR_CONTRACT: Final = "vendor contract"
OWN_SANDBOX: Final = "own sandbox only"
LEVELS: Final = (REAL_SERVER, RECORDED, VENDOR_CONTRACT, OWN_SANDBOX)
"""From the strongest to the weakest."""
NONE: Final = "none"
FILE: Final = "evidence.json"

Proofs = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Operation to level to the tests that passed."""


def evidence_file(vendor: Vendor) -> Path:
    """Return where the evidence of *vendor* lies: beside the module that defines it."""
    module = sys.modules[type(vendor).__module__]
    return Path(str(module.__file__)).parent / FILE


def read_proofs(file: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the proofs of a file, none where there is none."""
    if not file.exists():
        return {}
    return msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, tuple[str, ...]]])


def levels_of(proofs: Proofs) -> dict[str, tuple[str, ...]]:
    """Return the operations by the strongest level that each was proven at, strongest level first."""
    best = {
        operation: next(level for level in LEVELS if level in by_level)
        for operation, by_level in sorted(proofs.items())
        if by_level
    }
    return {
        level: tuple(name for name, at in best.items() if at == level)
        for level in LEVELS
        if level in best.values()
    }


def level_of_writing(proofs: Proofs) -> str:
    """Return the strongest level at which writing was proven: what a connector is for; `none` without any."""
    by_level = proofs.get("upsert", {})
    return next((level for level in LEVELS if level in by_level), NONE)
