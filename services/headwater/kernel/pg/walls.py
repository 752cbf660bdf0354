"""Connections that serve one tenant's call with the rights of that call alone. Owns how a transaction takes them on.

A pool of such connections works with the service's role, which sees every tenant and owns nothing. Where the task
works for one tenant (`kernel.tenancy`), each transaction begins as the role of calls with the tenant set, in the
message that begins it: row level security then shows and takes that tenant's rows alone, whatever the statement says.
A statement outside of a transaction gets one of its own: two more messages, which background work never pays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import asyncpg

from headwater.kernel.tenancy import current_tenant

if TYPE_CHECKING:

    class _Connection(asyncpg.Connection[asyncpg.Record]):
        """What the driver's stubs leave out: every fetch, `execute` with arguments, and COPY go through these."""

        async def _execute(self, *args: Any, **options: Any) -> Any: ...
        async def _copy_in(self, *args: Any, **options: Any) -> Any: ...

else:
    _Connection = asyncpg.Connection


class WalledConnection(_Connection):
    """A connection that keeps the present task within its tenant."""

    tenant_role: ClassVar[str] = ""
    """Role of a call; a plain name of lower case letters, digits and underscores."""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
        """As asyncpg's; what begins a transaction also enters the tenant."""
        tenant = current_tenant()
        if tenant is not None and not self.is_in_transaction():
            if not args and query.startswith("BEGIN"):
                # The names hold letters, digits, - and _ only: checked where they are set.
                query += f" SET LOCAL ROLE {self.tenant_role}; SET LOCAL headwater.tenant = '{tenant}';"
            else:
                async with self.transaction():
                    return await super().execute(query, *args, timeout=timeout)
        return await super().execute(query, *args, timeout=timeout)

    async def executemany(self, command: str, args: Any, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        """As asyncpg's, within the tenant."""
        if current_tenant() is None or self.is_in_transaction():
            return await super().executemany(command, args, timeout=timeout)
        async with self.transaction():
            return await super().executemany(command, args, timeout=timeout)

    async def _execute(self, *args: Any, **options: Any) -> Any:
        if current_tenant() is None or self.is_in_transaction():
            return await super()._execute(*args, **options)
        async with self.transaction():
            return await super()._execute(*args, **options)

    async def _copy_in(self, *args: Any, **options: Any) -> Any:
        if current_tenant() is None or self.is_in_transaction():
            return await super()._copy_in(*args, **options)
        async with self.transaction():
            return await super()._copy_in(*args, **options)


def walled(tenant_role: str) -> type[WalledConnection]:
    """Return the class of connections whose calls act as *tenant_role*."""
    return type("WalledConnection", (WalledConnection,), {"tenant_role": tenant_role})
