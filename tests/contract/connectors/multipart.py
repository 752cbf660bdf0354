"""Answers to $batch as lists of parts, so that the wire can change them on their way. Decides nothing."""

from __future__ import annotations

import json
import re
from typing import Any

_BOUNDARY = re.compile(r"boundary=\"?([^\";]+)")
_OWN = {"head", "body"}


def decode(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """Return the parts of a batch's answer: what stands before its JSON, and the JSON."""
    if not content_type.startswith("multipart/"):
        return []
    boundary = _boundary_of(content_type)
    pieces = body.split(b"--" + boundary)[1:-1]
    parts = []
    for piece in pieces:
        head, _, inner = piece.rpartition(b"\r\n\r\n")
        parts.append({"head": head.decode(), "body": json.loads(inner) if inner.strip() else None})
    return parts


def encode(content_type: str, parts: list[dict[str, Any]]) -> bytes:
    """Return the answer again; members that were added to a part go into its JSON."""
    if not content_type.startswith("multipart/"):
        return b""
    boundary = b"--" + _boundary_of(content_type)
    told = b""
    for part in parts:
        more = {name: value for name, value in part.items() if name not in _OWN}
        body = {**part["body"], **more} if isinstance(part["body"], dict) else part["body"]
        inner = b"" if body is None else json.dumps(body).encode()
        told += boundary + part["head"].encode() + b"\r\n\r\n" + inner + b"\r\n"
    return told + boundary + b"--\r\n"


def _boundary_of(content_type: str) -> bytes:
    found = _BOUNDARY.search(content_type)
    assert found is not None, content_type
    return found.group(1).encode()
