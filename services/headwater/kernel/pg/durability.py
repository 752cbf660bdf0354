"""Refuses a Postgres that may lose what it acknowledged. Owns the list of settings and their meaning.

An event is acknowledged to its producer once its transaction has committed, so a commit must mean
"on disk". Source: PostgreSQL manual, "Write Ahead Log" (fsync, full_page_writes, synchronous_commit).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from headwater.kernel.pg import queries
from headwater.kernel.pg.dsn import check_version
from headwater.kernel.pg.errors import DurabilityRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headwater.kernel.pg.pool import Connection

_SQL = queries.load("headwater.kernel.pg", "durability.sql")

_DURABLE: Final[dict[str, frozenset[str]]] = {
    "fsync": frozenset({"on"}),
    "full_page_writes": frozenset({"on"}),
    "synchronous_commit": frozenset({"on", "local", "remote_write", "remote_apply"}),
}
"""Values under which a local crash loses no acknowledged commit."""


@dataclass(frozen=True, slots=True)
class DurabilityFinding:
    """One setting that is not as it should be; scope is `session` or `system`."""

    setting: str
    scope: str
    value: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting} is {self.value} ({self.scope}), it should be {self.wanted}"


async def check_durability(
    connection: Connection, *, override: bool = False
) -> tuple[DurabilityFinding, ...]:
    """Refuse a server that is too old, or whose settings may lose acknowledged writes.

    `system` is what a fresh session of this role and database would get; `session` is this one.

    Args:
        override: the operator accepts the loss (tests, throw-away data).

    Returns:
        What was found and overridden, to be logged loudly; empty when all is well.

    Raises:
        DurabilityRefused: not overridden and something is off.
        DatabaseUnsupported: older than the oldest version supported; cannot be overridden.
    """
    check_version(connection)
    rows = await connection.fetch(_SQL["read_durability_settings"].text)
    findings = judge((row["name"], row["setting"], row["reset_val"]) for row in rows)
    if findings and not override:
        raise DurabilityRefused(findings)
    return findings


def judge(settings: Iterable[tuple[str, str, str]]) -> tuple[DurabilityFinding, ...]:
    """Name every setting that may lose writes.

    Args:
        settings: (name, value of this session, value that a fresh session gets).
    """
    return tuple(
        DurabilityFinding(name, scope, value, "on")
        for name, session, system in settings
        for scope, value in (("session", session), ("system", system))
        if value not in _DURABLE[name]
    )
