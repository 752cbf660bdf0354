"""Where the shared material is: named by HEADWATER_SHARED, else found beside the repository."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final


def _find() -> Path:
    if named := os.environ.get("HEADWATER_SHARED"):
        return Path(named)
    return next(
        folder / "shared" for folder in Path(__file__).parents if (folder / "shared" / "data").is_dir()
    )


SHARED: Final = _find()
