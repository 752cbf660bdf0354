"""Reads the recorded exchanges of real vendors, and compares shapes: keys and types, never values."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Json = Any


class _Loader(yaml.SafeLoader):
    """Reads Ruby's binary strings too."""


_Loader.add_constructor("!binary", lambda _loader, node: base64.b64decode(node.value))


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request with its answer."""

    method: str
    url: str
    body: str | None
    status: int
    headers: dict[str, str]
    text: str

    @property
    def content(self) -> Json:
        """The answer's body, decoded."""
        return json.loads(self.text)


def recordings(vendor: str) -> Path:
    """The folder of a vendor's recordings: `HEADWATER_SHARED`, or `shared` beside the clone."""
    named = os.environ.get("HEADWATER_SHARED")
    if named:
        return Path(named) / "specs" / vendor / "recordings"
    for parent in Path(__file__).resolve().parents:
        found = parent / "shared" / "specs" / vendor / "recordings"
        if found.is_dir():
            return found
    raise FileNotFoundError(vendor)


def load(path: Path) -> list[Exchange]:
    """The exchanges of one recording, files that it includes left out."""
    kept = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    if "request" in kept:
        return [_exchange(kept)]
    listed = kept.get("http_interactions") or kept["interactions"]
    return [_exchange(one) for one in listed if "request" in one]


def _exchange(one: dict[str, Any]) -> Exchange:
    request, answer = one["request"], one["response"]
    status = answer["status"]["code"]
    headers = {
        name: value[0] if isinstance(value, list) else value for name, value in answer["headers"].items()
    }
    return Exchange(
        request["method"].upper(),
        request["uri"],
        _text(request.get("body")),
        status,
        headers,
        _text(answer.get("body")) or "",
    )


def _text(body: Any) -> str | None:
    if isinstance(body, dict):
        body = body.get("string")
    return body.decode() if isinstance(body, bytes) else body


def differences(recorded: Json, seen: Json, place: str = "$", free: tuple[str, ...] = ()) -> list[str]:
    """Where two JSON values differ in keys or types.

    Args:
        recorded: what the vendor said.
        seen: what the sandbox said.
        place: where in the value this is.
        free: names of keys whose presence and value are the tenant's own.
    """
    if isinstance(recorded, dict) and isinstance(seen, dict):
        keys = {key for key in (*recorded, *seen) if key not in free}
        odd = [
            f"{place}.{key}: only {'recorded' if key in recorded else 'seen'}"
            for key in sorted(keys)
            if (key in recorded) != (key in seen)
        ]
        both = sorted(key for key in keys if key in recorded and key in seen)
        return odd + [
            one for key in both for one in differences(recorded[key], seen[key], f"{place}.{key}", free)
        ]
    if isinstance(recorded, list) and isinstance(seen, list):
        if bool(recorded) != bool(seen):
            return [f"{place}: {len(recorded)} recorded, {len(seen)} seen"]
        return [
            one
            for left, right in zip(recorded, seen, strict=False)
            for one in differences(left, right, f"{place}[]", free)
        ]
    kinds = _kind(recorded), _kind(seen)
    return [] if kinds[0] == kinds[1] else [f"{place}: {kinds[0]} recorded, {kinds[1]} seen"]


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else type(value).__name__
