"""The vault's safe in Postgres: sealed fields, wrapped data keys, states of keys. Sees no secret and no key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from headwater.kernel.pg import queries
from headwater.sync.ports import StoreRaced
from headwater.sync.store.faults import translated
from headwater.sync.vault.envelope import Place, Sealed
from headwater.sync.vault.ports import ConnectionView, Kept, KeyView, Rewrapped, WrappedKey
from headwater.sync.wakeup import name_accounts

if TYPE_CHECKING:
    from headwater.kernel.pg.pool import Connection, Pool

_SQL = queries.load("headwater.sync", "vault.sql")

CONNECTIONS_MAX: Final = 10_000
"""Connections listed at once."""
FINDING_CHARS_MAX: Final = 1_024


class PostgresSafe:
    """Port `Safe` on Postgres."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keys(self) -> tuple[KeyView, ...]:
        """Return the keys known, the oldest first."""
        async with translated():
            rows = await self._pool.fetch(_SQL["list_keys"].text)
        return tuple(
            KeyView(row["key_id"], row["state"], row["check_value"], row["state_time"], row["connections"])
            for row in rows
        )

    async def promote(self, key_id: str, check_value: bytes, expected: str) -> bool:
        """Make a new key the active one, unless another one is by now."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            active = await connection.fetchval(_SQL["lock_active_key"].text)
            if (active or "") != expected:
                return False
            if active:
                await connection.execute(_SQL["set_key_state"].text, active, "decrypt_only")
            inserted = await connection.execute(_SQL["insert_active_key"].text, key_id, check_value)
            if inserted == "INSERT 0 0":
                raise StoreRaced(f"key {key_id} became known meanwhile")
            return True

    async def retire(self, key_id: str) -> int:
        """Retire a key unless it is in use; return how many data keys it wraps."""
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            state = await connection.fetchval(_SQL["lock_key"].text, key_id)
            uses = int(await connection.fetchval(_SQL["count_uses"].text, key_id))
            if state == "active":
                return max(1, uses)
            if not uses:
                await connection.execute(_SQL["set_key_state"].text, key_id, "retired")
            return uses

    async def write(self, kept: Kept, actor: str) -> int:
        """Keep a connection in place of what was there."""
        wrapped, place = kept.wrapped, kept.wrapped.place
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            version = await connection.fetchval(
                _SQL["write_connection"].text,
                place.tenant_id,
                place.connection,
                place.key_version,
                wrapped.key_id,
                wrapped.sealed.nonce,
                wrapped.sealed.text,
            )
            if version is None:
                raise StoreRaced(f"connection {place.connection} was set by somebody else meanwhile")
            await connection.execute(_SQL["delete_fields"].text, place.tenant_id, place.connection)
            await _write_fields(connection, place, kept.fields)
            changes = [_change(place.connection, None, sorted(kept.fields))]
            await _tell(connection, place.tenant_id, place.connection, actor, "secret_set", changes)
        return int(version)

    async def read(self, tenant_id: str, connection: str) -> Kept | None:
        """Return a connection; None when there is none."""
        async with translated():
            row = await self._pool.fetchrow(_SQL["read_connection"].text, tenant_id, connection)
        return None if row is None else _kept(tenant_id, connection, row)

    async def connections(self, tenant_id: str) -> tuple[ConnectionView, ...]:
        """Return a tenant's connections by name."""
        async with translated():
            rows = await self._pool.fetch(_SQL["list_connections"].text, tenant_id, CONNECTIONS_MAX)
        return tuple(
            ConnectionView(
                row["connection"],
                tuple(row["fields"]),
                row["version"],
                row["key_id"],
                row["state"],
                row["finding"],
                row["update_time"],
            )
            for row in rows
        )

    async def remove(self, tenant_id: str, connection: str, actor: str) -> bool:
        """Remove a connection; False when there was none."""
        async with translated(), self._pool.acquire() as held, held.transaction():
            gone = await held.fetchval(_SQL["delete_connection"].text, tenant_id, connection)
            if gone:
                changes = [_change(connection, "kept", None)]
                await _tell(held, tenant_id, connection, actor, "secret_removed", changes)
            return bool(gone)

    async def wrapped_by(
        self, key_ids: Sequence[str], after: tuple[str, str], limit: int
    ) -> tuple[WrappedKey, ...]:
        """Return the next data keys wrapped by *key_ids*."""
        async with translated():
            rows = await self._pool.fetch(_SQL["wrapped_by"].text, list(key_ids), *after, limit)
        return tuple(_wrapped(row["tenant_id"], row["connection"], row) for row in rows)

    async def rewrap(self, key_id: str, keys: Sequence[Rewrapped]) -> int:
        """Exchange wrappings; return how many."""
        async with translated():
            done = await self._pool.execute(
                _SQL["rewrap"].text,
                key_id,
                [item.old.place.tenant_id for item in keys],
                [item.old.place.connection for item in keys],
                [item.old.sealed.nonce for item in keys],
                [item.sealed.nonce for item in keys],
                [item.sealed.text for item in keys],
            )
        return int(done.rpartition(" ")[2])

    async def claim_refresh(
        self, tenant_id: str, connection: str, version: int, holder: str, ttl_s: float
    ) -> bool:
        """Become the one who refreshes a version."""
        async with translated():
            return bool(
                await self._pool.fetchval(
                    _SQL["claim_refresh"].text, tenant_id, connection, version, holder, ttl_s
                )
            )

    async def settle_refresh(self, kept: Kept, holder: str, life_s: float | None) -> bool:
        """Keep new tokens beside the other fields, under the claim."""
        place = kept.wrapped.place
        async with translated(), self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetchval(
                _SQL["settle_refresh"].text,
                place.tenant_id,
                place.connection,
                kept.version,
                place.key_version,
                holder,
                life_s,
            )
            if held:
                await _write_fields(connection, place, kept.fields)
            return bool(held)

    async def fail_refresh(self, kept: Kept, holder: str, finding: str, pause_s: float) -> None:
        """Give the claim back."""
        place = kept.wrapped.place
        async with translated():
            await self._pool.execute(
                _SQL["fail_refresh"].text,
                place.tenant_id,
                place.connection,
                kept.version,
                holder,
                finding[:FINDING_CHARS_MAX],
                pause_s,
            )


async def _write_fields(connection: Connection, place: Place, fields: Mapping[str, Sealed]) -> None:
    names = sorted(fields)
    await connection.execute(
        _SQL["write_fields"].text,
        place.tenant_id,
        place.connection,
        names,
        [fields[name].nonce for name in names],
        [fields[name].text for name in names],
    )


async def _tell(
    held: Connection, tenant_id: str, connection: str, actor: str, action: str, changes: list[dict[str, Any]]
) -> None:
    await held.execute(_SQL["audit_secret"].text, tenant_id, actor, action, changes)
    await held.execute(_SQL["notify_vault"].text, name_accounts([(tenant_id, connection)]))


def _change(connection: str, before: object, after: object) -> dict[str, Any]:
    """Say which secret, in the words of the audit: names of fields at most."""
    return {"field": f"vault:{connection}", "before": before, "after": after, "rule": "operator"}


def _kept(tenant_id: str, connection: str, row: Any) -> Kept:
    fields = {
        name: Sealed(nonce, text)
        for name, nonce, text in zip(row["fields"], row["nonces"], row["texts"], strict=True)
    }
    return Kept(
        _wrapped(tenant_id, connection, row),
        row["version"],
        fields,
        row["state"],
        row["finding"],
        row["left_s"],
        row["pause_s"],
    )


def _wrapped(tenant_id: str, connection: str, row: Any) -> WrappedKey:
    place = Place(tenant_id, connection, row["key_version"])
    return WrappedKey(place, row["key_id"], Sealed(row["key_nonce"], row["wrapped_key"]))
