"""Puts the keeper of the audit together from a store that `app` has picked and the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from headwater.kernel.clock import Clock
from headwater.kernel.pg.embedded import default_data_dir
from headwater.sync.auditing.files import FilePlace, NoPlace
from headwater.sync.auditing.keeper import AuditKeeper, KeeperSettings
from headwater.sync.auditing.keys import load_signer
from headwater.sync.auditing.ports import Trail
from headwater.sync.membership import Membership
from headwater.sync.ports import Leases
from headwater.sync.secrets import EnvironmentSecrets
from headwater.sync.settings import SyncSettings

NO_PLACE: Final = "none"
KEY_FILE: Final = "audit-key.pem"
PLACE_DIRECTORY: Final = "audit"


def audit_keeper(
    trail: Trail,
    leases: Leases,
    membership: Membership,
    clock: Clock,
    settings: SyncSettings,
    environment: Mapping[str, str],
) -> AuditKeeper:
    """Return the keeper of the audit of this process."""
    data_dir = data_dir_of(environment)
    directory = Path(settings.audit_dir).expanduser() if settings.audit_dir else data_dir / PLACE_DIRECTORY
    place = NoPlace() if settings.audit_dir == NO_PLACE else FilePlace(directory)
    secrets = EnvironmentSecrets(environment)
    signer = partial(load_signer, settings.audit_key, data_dir / KEY_FILE, secrets)
    bounds = KeeperSettings(
        look_s=settings.audit_look_s,
        batch_entries=settings.audit_batch_entries,
        checkpoint_entries=settings.audit_checkpoint_entries,
        checkpoint_s=settings.audit_checkpoint_s,
    )
    return AuditKeeper(trail, place, signer, leases, membership, clock, bounds)


def data_dir_of(environment: Mapping[str, str]) -> Path:
    """Return the directory of what a service keeps beside its database."""
    named = environment.get("HEADWATER_DATA_DIR", "").strip()
    chosen = Path(named) if named else default_data_dir(environment, Path.home(), root=os.geteuid() == 0)
    return chosen.expanduser().absolute()
