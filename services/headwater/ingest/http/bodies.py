"""Reading bodies within bounds: of one, of all together, and of time. Refuses before it buffers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import anyio
from starlette.requests import ClientDisconnect, Request

from headwater.ingest.http.answers import HttpRefused
from headwater.kernel.errors import Overloaded

RETRY_AFTER_S: Final = 1.0
"""What a caller is told while too many bodies are under way."""


@dataclass(frozen=True, slots=True)
class BodySettings:
    """Bounds of bodies.

    Args:
        bytes_max: of one body.
        held_bytes_max: of all bodies read and not yet answered.
        timeout_s: from the head to the last byte of one body.
    """

    bytes_max: int = 8 * 1024 * 1024
    held_bytes_max: int = 64 * 1024 * 1024
    timeout_s: float = 20.0


class Bodies:
    """The bodies under way in this process."""

    def __init__(self, settings: BodySettings) -> None:
        self._settings = settings
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes read and not yet answered."""
        return self._held_bytes

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the whole body; its bytes count as held until the block ends.

        Raises:
            HttpRefused: compressed, too large, or not here in time.
            Overloaded: too many bytes are held.
        """
        self._check_head(request)
        held_bytes = 0
        chunks: list[bytes] = []
        try:
            try:
                with anyio.fail_after(self._settings.timeout_s):
                    async for chunk in request.stream():
                        held_bytes += len(chunk)
                        self._held_bytes += len(chunk)
                        self._check_held(held_bytes)
                        chunks.append(chunk)
            except TimeoutError as error:
                message = f"the body was not here after {self._settings.timeout_s:g} s"
                raise HttpRefused(
                    HTTPStatus.REQUEST_TIMEOUT, "BODY_SLOW", message, headers={"Connection": "close"}
                ) from error
            except ClientDisconnect as error:
                raise HttpRefused(HTTPStatus.BAD_REQUEST, "BODY_CUT", "the body was cut off") from error
            yield b"".join(chunks)
        finally:
            self._held_bytes -= held_bytes

    def _check_head(self, request: Request) -> None:
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"", "identity"}:
            raise HttpRefused(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "CONTENT_ENCODING",
                "compressed bodies are not accepted",
                headers={"Accept-Encoding": "identity"},
                closes=True,
            )
        length = request.headers.get("content-length", "")
        if length.isdecimal():
            self._check_size(int(length))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._settings.bytes_max:
            message = f"a body may have {self._settings.bytes_max} bytes"
            raise HttpRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "BODY_TOO_LARGE", message, closes=True)

    def _check_held(self, size_bytes: int) -> None:
        self._check_size(size_bytes)
        if self._held_bytes > self._settings.held_bytes_max:
            raise Overloaded(
                "too many bodies are under way; send again later",
                retry_after_s=RETRY_AFTER_S,
                reason="BODIES_FULL",
            )
