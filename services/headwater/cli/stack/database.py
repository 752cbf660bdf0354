"""The stack's database: the one that the environment names, or an embedded server that is kept running."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import anyio
from anyio.to_thread import run_sync

from headwater.cli.stack.layout import Layout
from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import database_url
from headwater.kernel.pg.embedded import EmbeddedPostgres
from headwater.kernel.pg.errors import EmbeddedServerFault

WATCH_INTERVAL_S: Final = 0.5
_PAUSE_CAP_S: Final = 10.0

_log = logging.getLogger(__name__)


class StackDatabase:
    """Knows where the data is; starts, watches and stops the server when it is our own."""

    def __init__(self, layout: Layout, environment: Mapping[str, str]) -> None:
        try:
            self._given = database_url(environment)
        except ValueError as error:
            raise StartRefused(str(error)) from error
        # Detached: a server that outlives a killed supervisor is found and taken over by the next one.
        self._server = EmbeddedPostgres(layout.postgres, detach=True)

    @property
    def embedded(self) -> bool:
        """True when the server is ours."""
        return self._given is None

    async def start(self) -> str:
        """Return the URL of a database that answers.

        Raises:
            StartRefused: the embedded server does not come up.
        """
        if self._given is not None:
            return self._given
        try:
            return await run_sync(self._server.start)
        except EmbeddedServerFault as error:
            raise StartRefused(str(error)) from error

    async def watch(self) -> None:
        """Start the embedded server again whenever it is gone; runs until cancelled."""
        failures = 0
        while self.embedded:
            await anyio.sleep(min(_PAUSE_CAP_S, WATCH_INTERVAL_S * 2.0**failures))
            if await run_sync(lambda: self._server.pid) is not None:
                failures = 0
                continue
            _log.warning("PostgreSQL is gone; starting it again")
            try:
                await run_sync(self._server.start)
            except EmbeddedServerFault as error:
                failures = min(failures + 1, 10)
                _log.error("PostgreSQL does not start: %s", error)

    async def stop(self) -> None:
        """Stop the embedded server; another's is left alone."""
        if self.embedded:
            await run_sync(self._server.stop)
