"""Settings from the environment: one frozen model a service, every fault reported at once.

A service's model derives from `ServiceSettings` with `model_config = named(service)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import masked
from headwater.kernel.pg.roles import RolesMode
from headwater.kernel.security.settings import SecuritySettings

Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]{1,5}$")]
"""host:port; port 0 lets the system choose."""
DatabaseUrl = Annotated[str, StringConstraints(pattern=r"^postgres(ql)?://")]
LogLevel = Literal["debug", "info", "warning", "error"]

DATABASE_URL: Final = "HEADWATER_DATABASE_URL"


def named(service: str) -> ConfigDict:
    """Return the configuration of a service's settings: a field's variable is HEADWATER_<SERVICE>_<FIELD>."""
    return ConfigDict(alias_generator=lambda field: f"HEADWATER_{service.upper()}_{field.upper()}")


class ServiceSettings(SecuritySettings):
    """What every service may be told. Fields that several services share name their variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    database_url: DatabaseUrl = Field(alias=DATABASE_URL, repr=False)
    """The Postgres to use. Required; a password in it is never printed."""
    log_level: LogLevel = Field("info", alias="HEADWATER_LOG_LEVEL")
    """debug, info, warning or error; lines are JSON on stderr."""
    trace_ratio: float = Field(0.01, ge=0, le=1, alias="HEADWATER_TRACE_RATIO")
    """Share of new traces that are kept; retries, dead letters and breaker openings always are."""
    durability_override: bool = Field(default=False, alias="HEADWATER_DURABILITY_OVERRIDE")
    """Accept a Postgres that may lose acknowledged writes: throw-away data only."""
    database_roles: RolesMode = Field("auto", alias="HEADWATER_DATABASE_ROLES")
    """Work as a role of least rights behind row level security: auto where the database has the roles, required always; off, for migrating: make none."""
    reflection: bool = Field(default=False, alias="HEADWATER_REFLECTION")
    """Answer gRPC reflection; off in production."""

    metrics_address: str = Field(
        "", pattern=r"^((\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]{1,5})?$", alias="HEADWATER_METRICS_ADDRESS"
    )
    """host:port of GET /metrics, on loopback; of several processes the n-th listens n - 1 ports higher; port 0 lets the system choose; empty: no door."""
    metrics_targets_dir: str = Field("", alias="HEADWATER_METRICS_TARGETS_DIR")
    """Directory in which each process writes where its /metrics is, for Prometheus's file_sd; empty: nowhere."""

    end_s: float = Field(20.0, gt=0, alias="HEADWATER_END_S")
    """Longest time from SIGTERM to the end of a process; what is left then is cut off (exit code 75)."""
    replica: int = Field(0, ge=0, alias="HEADWATER_REPLICA")
    """Which of several processes on one port this is, from 1; set by their supervisor, never by hand."""

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the name of the variable that sets *field*."""
        return cls.model_fields[field].alias or field

    def printed(self) -> dict[str, str | int | float | bool]:
        """Return the settings as they may be printed: without a password."""
        return {**self.model_dump(), "database_url": masked(self.database_url)}


class ReplicatedSettings(ServiceSettings):
    """What a service may be told that can run as several processes on the same ports."""

    listens: ClassVar[tuple[str, ...]] = ("address",)
    """Fields that hold host:port to listen on, or nothing; all processes share each port."""

    processes: int = Field(0, ge=0, le=64)
    """Processes that share the port; 0: one for each core, at most 8 (one where the system does not share)."""


Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(model: type[Settings], environment: Mapping[str, str]) -> Settings:
    """Read *model* from the environment.

    Raises:
        StartRefused: names every variable at fault, the value seen and the rule it breaks.
    """
    aliases = [field.alias for field in model.model_fields.values() if field.alias]
    given = {name: environment[name].strip() for name in aliases if environment.get(name, "").strip()}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        faults = [_fault(one["loc"], given, one["msg"]) for one in error.errors()]
        raise StartRefused("settings: " + "; ".join(faults), reason="SETTINGS") from error


def _fault(location: tuple[int | str, ...], given: Mapping[str, str], rule: str) -> str:
    name = str(location[0]) if location else "environment"
    if name == DATABASE_URL:
        return f"{name} (value not shown): {rule}"
    return f"{name}={given[name]!r}: {rule}" if name in given else f"{name}: {rule}"
