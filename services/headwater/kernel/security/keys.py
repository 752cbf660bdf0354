"""Where the keys of the identity provider come from: a file, or a URL that is asked seldom and within bounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.files import WatchedFile, read_file
from headwater.kernel.security.jwt import Keys, read_keys
from headwater.kernel.security.places import is_loopback

TIMEOUT_S: Final = 5.0
DOCUMENT_BYTES_MAX: Final = 256 * 1024
AGE_S: Final = 300.0
"""Keys from a URL are fetched again after so long: a key that was taken back is believed no longer than this."""
PAUSE_S: Final = 10.0
"""Least time between two fetches, however many unknown keys callers name."""


class FileKeys:
    """Keys in a file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._watched = WatchedFile(path)

    async def load(self) -> Keys:
        """Return the keys.

        Raises:
            StartRefused: the file is no JWKS.
        """
        return read_keys(read_file(self._watched.path, "HEADWATER_OIDC_JWKS"))

    def due(self) -> bool:
        """Return whether they should be loaded again."""
        return self._watched.changed()

    def may_fetch(self) -> bool:
        """Return whether an unknown key is reason to load again."""
        return self._watched.changed()


class UrlKeys:
    """Keys behind a URL."""

    def __init__(self, url: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            message = f"HEADWATER_OIDC_JWKS={url!r}: a file, or a URL of https"
            raise StartRefused(message, reason="SECURITY")
        self._url = url
        self._monotonic = monotonic
        self._fetched_s = -math.inf

    async def load(self) -> Keys:
        """Fetch the keys: no redirects, no proxies, bounded in time and size.

        Raises:
            StartRefused: they cannot be had, or are no JWKS.
        """
        self.note_fetch()
        try:
            async with (
                httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
                client.stream("GET", self._url) as answer,
            ):
                answer.raise_for_status()
                document = bytearray()
                async for part in answer.aiter_bytes():
                    document += part
                    if len(document) > DOCUMENT_BYTES_MAX:
                        break
        except (httpx.HTTPError, OSError) as error:
            raise StartRefused(f"HEADWATER_OIDC_JWKS={self._url!r}: {error}", reason="SECURITY") from error
        if len(document) > DOCUMENT_BYTES_MAX:
            raise StartRefused(f"HEADWATER_OIDC_JWKS={self._url!r}: too large", reason="SECURITY")
        return read_keys(bytes(document))

    def note_fetch(self) -> None:
        """Note that they are fetched now, whether it works or not."""
        self._fetched_s = self._monotonic()

    def due(self) -> bool:
        """Return whether they are old."""
        return self._monotonic() - self._fetched_s >= AGE_S

    def may_fetch(self) -> bool:
        """Return whether an unknown key is reason to fetch: not when they were fetched just now."""
        return self._monotonic() - self._fetched_s >= PAUSE_S


KeySource = FileKeys | UrlKeys


def key_source(place: str, monotonic: Callable[[], float] = time.monotonic) -> KeySource:
    """Return where *place* keeps keys: a URL, or a path."""
    return UrlKeys(place, monotonic) if "://" in place else FileKeys(Path(place).expanduser())
