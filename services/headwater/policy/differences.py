"""The differences of two JSON documents, path by path. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One path at which two documents differ; values as JSON texts, empty where there is none."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: str
    after: str


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Yield every difference, in the order of paths; lists are compared as whole values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(before.get(key, _MISSING), after.get(key, _MISSING), below)
    elif before is _MISSING:
        yield Difference(path, "added", "", json.dumps(after, ensure_ascii=False))
    elif after is _MISSING:
        yield Difference(path, "removed", json.dumps(before, ensure_ascii=False), "")
    elif before != after:
        yield Difference(
            path, "changed", json.dumps(before, ensure_ascii=False), json.dumps(after, ensure_ascii=False)
        )
