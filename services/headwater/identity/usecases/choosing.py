"""Which weights count: versions shown, made to count, taken back. Each change is one transaction, written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from anyio import to_thread

from headwater.identity.domain.merging import Actor
from headwater.identity.domain.scoring.changes import LevelChange, changes
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.domain.scoring.versions import SHIPPED, name_of
from headwater.identity.domain.scoring.weights import Weights
from headwater.identity.domain.weighing import (
    Activation,
    Version,
    refuse_unless_expected,
    target_of_rollback,
)
from headwater.identity.usecases.weighing import ActiveWeights
from headwater.identity.weights_ports import WeightsStore, WeightsTransaction
from headwater.kernel.clock import Clock
from headwater.kernel.errors import NotFound
from headwater.kernel.ids import TenantId

ROWS_MAX: Final = 200
"""Versions of one answer: more than are kept of all objects."""
ACTIVATIONS_MAX: Final = 50
"""Lines of the audit beside one version."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A version that somebody wants to count."""

    object: str
    number: int
    actor: Actor
    reason: str


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version with its bits beside those it was held against; version is none for the shipped ones."""

    number: int
    active: int
    version: Version | None
    levels: Sequence[LevelChange]
    activations: Sequence[Activation]


@dataclass(frozen=True, slots=True)
class Chooser:
    """Shows versions, and makes them count."""

    store: WeightsStore
    weights: ActiveWeights
    clock: Clock

    async def list_versions(self, tenant_id: TenantId, object_name: str) -> Sequence[Version]:
        """Return the versions of an object, or of all when empty, newest first."""
        return await self.store.list_versions(tenant_id, object_name, 0, ROWS_MAX)

    async def get(self, tenant_id: TenantId, object_name: str, number: int | None) -> VersionView:
        """Return one version, or the one that counts, with its bits, level by level.

        Raises:
            NotFound: there is no such version.
            PreconditionFailed: its body cannot be used.
        """
        active = await self.store.find_active(tenant_id, object_name)
        number = active if number is None else number
        activations = await self.store.list_activations(tenant_id, object_name, ACTIVATIONS_MAX)
        if number == SHIPPED:
            plain = shipped(object_name)
            return VersionView(number, active, None, changes(plain, plain), activations)
        found = await self.store.list_versions(tenant_id, object_name, number, 1)
        body = await self.store.find_body(tenant_id, object_name, number)
        if not found or body is None:
            raise _unknown(object_name, number)
        weights = await _read(body, object_name, number)
        base = await self.weights.find(tenant_id, object_name, found[0].source.base_version)
        levels = await to_thread.run_sync(changes, base or shipped(object_name), weights)
        return VersionView(number, active, found[0], levels, activations)

    async def activate(self, tenant_id: TenantId, choice: Choice) -> Activation | None:
        """Make a version count, 0 for the shipped ones; None when it counts already.

        Raises:
            NotFound: there is no such version.
            PreconditionFailed: its body cannot be used.
        """
        async with self.store.alone(tenant_id, choice.object) as transaction:
            active = await transaction.active()
            if active == choice.number:
                return None
            await _refuse_unusable(transaction, choice.object, choice.number)
            done = self._activation(choice, active)
            await transaction.switch(done)
        await self.weights.refresh()
        return done

    async def roll_back(self, tenant_id: TenantId, choice: Choice) -> Activation:
        """Take back the activation of the version that counts, exactly: what it replaced counts again.

        Args:
            choice: its number is the version that counts, so that a repeat takes back nothing more.

        Raises:
            PreconditionFailed: another version counts, or there is nothing to take back.
        """
        async with self.store.alone(tenant_id, choice.object) as transaction:
            active = await transaction.active()
            refuse_unless_expected(choice.object, active, choice.number)
            before = target_of_rollback(choice.object, active, await transaction.find_standing())
            back = Choice(choice.object, before.previous_version, choice.actor, choice.reason)
            await _refuse_unusable(transaction, back.object, back.number)
            done = self._activation(back, active, undoes=before.seq)
            await transaction.switch(done)
        await self.weights.refresh()
        return done

    def _activation(self, choice: Choice, active: int, undoes: int | None = None) -> Activation:
        return Activation(
            choice.object, choice.number, active, choice.actor, choice.reason, self.clock.now(), undoes
        )


async def _refuse_unusable(transaction: WeightsTransaction, object_name: str, number: int) -> None:
    if number == SHIPPED:
        return
    body = await transaction.find_body(number)
    if body is None:
        raise _unknown(object_name, number)
    await _read(body, object_name, number)


async def _read(body: bytes, object_name: str, number: int) -> Weights:
    return await to_thread.run_sync(read_weights, body, object_name, number)


def _unknown(object_name: str, number: int) -> NotFound:
    return NotFound(
        f"there are no weights {name_of(number)} of {object_name}, or they are not kept any more",
        metadata={"object": object_name, "version": str(number)},
    )
