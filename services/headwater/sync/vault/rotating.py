"""Rotation: a new key wraps, then every data key is wrapped anew behind live traffic, in bounded batches.

Where it stands is in the rows themselves: a rotation that was killed goes on by being called again. Nothing sealed is
opened but data keys, and no lock is held while they are.

    make a key (durable in the ring) -> promote it -> rewrap batch by batch -> retire the old one, once unused
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from headwater.kernel.errors import NotFound, PreconditionFailed
from headwater.sync.vault import envelope
from headwater.sync.vault.envelope import KEY_BYTES, NotOpened, RingKey
from headwater.sync.vault.ports import KeyRingFault, KeyView, Rewrapped, WrappedKey
from headwater.sync.vault.vault import Vault, checked

BATCH_MAX: Final = 200
"""Data keys of one transaction: about 10 ms of rows that only writers of these very secrets would wait for."""
PASSES_MAX: Final = 100
"""Looks from the beginning, for what was written under the old key while the first look went on."""

Progress = Callable[[int, int], None]
"""Told how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation came to.

    Args:
        key_id: the key that wraps now.
        rewrapped: data keys wrapped anew by this call.
        left: data keys that are still wrapped by an old key.
        failed: connections whose data key did not open, with why.
    """

    key_id: str
    rewrapped: int
    left: int
    failed: tuple[tuple[str, str, str], ...] = ()


async def initialise(vault: Vault, now: dt.datetime) -> KeyView:
    """Make the first key, unless there is one; safe to repeat.

    Raises: KeyRingFault, Unavailable.
    """
    if not any(view.state == "active" for view in await vault.safe.keys()):
        await _promote_next(vault, (), now)
    return _active(await vault.safe.keys())


async def rotate(vault: Vault, now: dt.datetime, progress: Progress, *, batch: int = BATCH_MAX) -> Rotation:
    """Let a new key wrap and wrap every data key with it; a rotation that was cut off is finished instead.

    Raises:
        PreconditionFailed: the vault has no key yet.
        KeyRingFault, Unavailable, StoreRaced.
    """
    views = await vault.safe.keys()
    _active(views)
    if not _in_use(views):
        await _promote_next(vault, views, now)
        views = await vault.safe.keys()
    return await _rewrap_all(vault, views, progress, batch)


async def retire(vault: Vault, key_id: str) -> None:
    """Retire a key that no data key is wrapped by, and forget it.

    Raises:
        NotFound: there is no such key.
        PreconditionFailed: it is the active one, or still in use.
        KeyRingFault: it is retired, but has to be taken out of the ring by hand.
    """
    view = next((view for view in await vault.safe.keys() if view.key_id == key_id), None)
    if view is None:
        raise NotFound(f"the vault knows no key {key_id!r}")
    if view.state == "active":
        raise PreconditionFailed(f"key {key_id!r} is the active one; `headwater vault rotate` makes another")
    if in_use := await vault.safe.retire(key_id):
        raise PreconditionFailed(
            f"key {key_id!r} is still in use: {in_use:,} connections; `headwater vault rotate` goes on with them"
        )
    await vault.ring.discard(key_id)


async def prepare(vault: Vault, now: dt.datetime) -> str:
    """Make the next key in the ring, without using it yet, and return its id; safe to repeat.

    Where services run on several machines, the ring is then brought to all of them, and only then rotated.
    Raises: KeyRingFault, Unavailable.
    """
    return (await _next_key(vault, await vault.safe.keys(), now)).key_id


async def _next_key(vault: Vault, views: tuple[KeyView, ...], now: dt.datetime) -> RingKey:
    """Return a key that the database does not know yet: one that was prepared or made before a crash, or a new one."""
    known, ring = {view.key_id for view in views}, await vault.ring.read()
    fresh = next((key for name, key in reversed(list(ring.items())) if name not in known), None)
    if fresh is None:
        fresh = RingKey(_new_id(known, now), vault.randomness(KEY_BYTES))
        await vault.ring.add(fresh)
    return fresh


async def _promote_next(vault: Vault, views: tuple[KeyView, ...], now: dt.datetime) -> None:
    fresh = await _next_key(vault, views, now)
    expected = next((view.key_id for view in views if view.state == "active"), "")
    await vault.safe.promote(fresh.key_id, fresh.check_value(), expected)


def _new_id(known: set[str], now: dt.datetime) -> str:
    day = f"key-{now.astimezone(dt.UTC):%Y%m%d}"
    return next(name for number in range(1, len(known) + 2) if (name := f"{day}-{number}") not in known)


def _active(views: tuple[KeyView, ...]) -> KeyView:
    for view in views:
        if view.state == "active":
            return view
    raise PreconditionFailed(
        "the vault has no key yet; make one with `headwater vault init`", reason="VAULT_NOT_INITIALISED"
    )


def _in_use(views: tuple[KeyView, ...]) -> int:
    return sum(view.connections for view in views if view.state == "decrypt_only")


async def _rewrap_all(vault: Vault, views: tuple[KeyView, ...], progress: Progress, batch: int) -> Rotation:
    ring = await vault.ring.read()
    active = checked(ring, _active(views), vault.ring.where)
    old = [view.key_id for view in views if view.state == "decrypt_only"]
    total, done = _in_use(views), 0
    failed: dict[tuple[str, str], str] = {}
    progress(0, total)
    for _ in range(PASSES_MAX):
        before, after = done, ("", "")
        while keys := await vault.safe.wrapped_by(old, after, batch):
            after = (keys[-1].place.tenant_id, keys[-1].place.connection)
            done += await vault.safe.rewrap(active.key_id, _rewrapped(vault, ring, active, keys, failed))
            progress(done, max(done, total))
        if done == before:
            break
    left = _in_use(await vault.safe.keys())
    named = tuple((tenant, connection, why) for (tenant, connection), why in sorted(failed.items()))
    return Rotation(active.key_id, done, left, named if left else ())


def _rewrapped(
    vault: Vault,
    ring: Mapping[str, RingKey],
    active: RingKey,
    keys: tuple[WrappedKey, ...],
    failed: dict[tuple[str, str], str],
) -> list[Rewrapped]:
    """Wrap what opens; one that does not stops no other and is told of."""
    found = []
    for held in keys:
        try:
            data_key = vault.opened_key(ring, held)
        except (NotOpened, KeyRingFault) as error:
            failed[held.place.tenant_id, held.place.connection] = error.message
        else:
            found.append(Rewrapped(held, envelope.wrap(active, held.place, data_key, vault.randomness)))
    return found
