"""Where a local stack keeps its things. Pure paths; makes nothing but directories when told so."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA_DIR_VARIABLE: Final = "HEADWATER_DATA_DIR"
_DIRECTORY_MODE: Final = 0o755
"""Postgres, started by root, runs as another account and must be able to enter."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one data directory."""

    data_dir: Path

    @property
    def state(self) -> Path:
        """What runs now; see `state`."""
        return self.data_dir / "stack.json"

    @property
    def ports(self) -> Path:
        """Ports chosen once for this directory."""
        return self.data_dir / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by the one supervisor."""
        return self.data_dir / "stack.lock"

    @property
    def account(self) -> Path:
        """Name of the sandbox account that the connectors' credentials are for."""
        return self.data_dir / "account"

    @property
    def logs(self) -> Path:
        """One log per process."""
        return self.data_dir / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded server's directory."""
        return self.data_dir / "postgres"

    @property
    def console(self) -> Path:
        """The console's span store."""
        return self.data_dir / "console"

    @property
    def sandbox(self) -> Path:
        """The sandbox fleet's state."""
        return self.data_dir / "sandbox"

    @property
    def audit(self) -> Path:
        """The second place of the audit's checkpoints."""
        return self.data_dir / "audit"

    @property
    def metrics(self) -> Path:
        """Where each process's /metrics is, a file a process, as Prometheus's file_sd reads it."""
        return self.data_dir / "metrics"

    @property
    def runs(self) -> Path:
        """What `headwater run` remembers."""
        return self.data_dir / "runs.json"

    @property
    def checkpoints(self) -> Path:
        """How far each file was ingested."""
        return self.data_dir / "checkpoints"

    def make(self) -> None:
        """Make the directories that the supervisor writes to."""
        for directory in (self.data_dir, self.logs, self.console, self.sandbox, self.checkpoints):
            directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)


def resolve_data_dir(given: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the data directory: the one given, the environment's, or the user's own."""
    from headwater.kernel.pg.embedded import default_data_dir  # noqa: PLC0415 - psutil is slow to import

    named = given or (Path(value) if (value := environment.get(DATA_DIR_VARIABLE, "").strip()) else None)
    chosen = named or default_data_dir(environment, Path.home(), root=os.geteuid() == 0)
    return chosen.expanduser().absolute()
