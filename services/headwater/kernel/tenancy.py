"""For which tenant the present task works: the call's, or none for what serves every tenant. Owns the variable alone.

What serves a call says so at its door (`kernel.rpc`, ingest's HTTP door), from the tenant that the credential allows;
the connections of the database act on it (`kernel.pg.walls`). Tasks that a call starts inherit it, workers that were
started before have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from headwater.kernel.ids import TENANT_PATTERN

NOBODY: Final = "-"
"""In place of a tenant: a call that names none, or no possible one. No tenant is called so: it sees no row."""

_current: ContextVar[str | None] = ContextVar("headwater_tenant", default=None)


def current_tenant() -> str | None:
    """Return whose rows this task may see; None: every tenant's."""
    return _current.get()


def serve_tenant(tenant_id: str) -> None:
    """Let this task, and those that it starts, see the rows of *tenant_id* alone."""
    _current.set(tenant_id if TENANT_PATTERN.fullmatch(tenant_id) else NOBODY)


@contextmanager
def every_tenant() -> Iterator[None]:
    """Let the block see every tenant's rows: what a process keeps for all of its callers is read so."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)
