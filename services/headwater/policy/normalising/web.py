"""Web addresses in one spelling. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

KEPT: Final = 8192
"""Addresses at hand."""
_URL: Final = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>[^\s/?#:@]+\.[^\s/?#:@.]{2,})(?::(?P<port>\d{1,5}))?(?P<rest>[/?#]\S*)?", re.IGNORECASE)  # fmt: skip
_USUAL_PORTS: Final = {"http": "80", "https": "443"}


@lru_cache(KEPT)
def web_address(text: str) -> str:
    """Return a web address with scheme, its host in small letters, without a lone slash; else *text*; idempotent."""
    found = _URL.fullmatch(text)
    if found is None:
        return text
    scheme = (found["scheme"] or "https").lower()
    port = f":{found['port']}" if found["port"] and found["port"] != _USUAL_PORTS[scheme] else ""
    rest = found["rest"] or ""
    return f"{scheme}://{found['host'].lower()}{port}{'' if rest == '/' else rest}"
