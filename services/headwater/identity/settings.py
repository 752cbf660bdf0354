"""Settings of the identity service: read once, from the environment, frozen; every fault reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from headwater.kernel.errors import StartRefused
from headwater.kernel.pg.dsn import masked

Address = Annotated[str, StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):[0-9]{1,5}$")]
LogLevel = Literal["debug", "info", "warning", "error"]


class IdentitySettings(BaseModel):
    """What an operator may set; each field's alias is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    database_url: Annotated[str, StringConstraints(pattern=r"^postgres(ql)?://")] = Field(
        alias="HEADWATER_DATABASE_URL", repr=False
    )
    """The Postgres that holds the schema `identity`. Required."""
    address: Address = Field("127.0.0.1:7402", alias="HEADWATER_IDENTITY_ADDRESS")
    """Where to listen; port 0 lets the system choose."""
    ingest_address: Address = Field("127.0.0.1:7401", alias="HEADWATER_INGEST_ADDRESS")
    """Where the event log is, for merges and splits."""
    log_level: LogLevel = Field("info", alias="HEADWATER_LOG_LEVEL")
    pool_size_min: int = Field(1, ge=0, le=100, alias="HEADWATER_IDENTITY_POOL_SIZE_MIN")
    pool_size_max: int = Field(10, ge=2, le=100, alias="HEADWATER_IDENTITY_POOL_SIZE_MAX")
    """Connections; each resolve or merge under way holds one."""
    pool_acquire_timeout_s: float = Field(
        10.0, gt=0, le=120, alias="HEADWATER_IDENTITY_POOL_ACQUIRE_TIMEOUT_S"
    )
    statement_timeout_s: float = Field(30.0, gt=0, le=600, alias="HEADWATER_IDENTITY_STATEMENT_TIMEOUT_S")
    ingest_timeout_s: float = Field(10.0, gt=0, le=120, alias="HEADWATER_IDENTITY_INGEST_TIMEOUT_S")
    """One attempt to tell the event log of changes."""
    key_entities_max: int = Field(5, ge=1, le=100, alias="HEADWATER_IDENTITY_KEY_ENTITIES_MAX")
    """A key that more entities share joins nobody; 5 is what Segment's identity graph defaults to."""
    key_rows_max: int = Field(64, ge=8, le=10_000, alias="HEADWATER_IDENTITY_KEY_ROWS_MAX")
    """Records of one key that are read for a decision; more than `key_entities_max`."""
    drain_s: float = Field(10.0, gt=0, le=120, alias="HEADWATER_IDENTITY_DRAIN_S")
    """How long calls under way may take after the end was asked for."""
    durability_override: bool = Field(default=False, alias="HEADWATER_DURABILITY_OVERRIDE")
    """Accept a Postgres that may lose acknowledged writes: throw-away data only."""
    reflection: bool = Field(default=False, alias="HEADWATER_REFLECTION")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.pool_size_min > self.pool_size_max:
            raise ValueError(
                "HEADWATER_IDENTITY_POOL_SIZE_MIN must not exceed HEADWATER_IDENTITY_POOL_SIZE_MAX"
            )
        if self.key_rows_max <= self.key_entities_max:
            raise ValueError(
                "HEADWATER_IDENTITY_KEY_ROWS_MAX must exceed HEADWATER_IDENTITY_KEY_ENTITIES_MAX"
            )
        return self

    def printed(self) -> dict[str, str | int | float | bool]:
        """Return the settings as they may be printed: without a password."""
        return {**self.model_dump(), "database_url": masked(self.database_url)}


def read_settings(environment: Mapping[str, str]) -> IdentitySettings:
    """Read the settings from the environment.

    Raises:
        StartRefused: names every variable at fault, the value seen and the rule it breaks.
    """
    names = [field.alias for field in IdentitySettings.model_fields.values() if field.alias]
    given = {name: environment[name].strip() for name in names if environment.get(name, "").strip()}
    try:
        return IdentitySettings.model_validate(given)
    except ValidationError as error:
        faults = [_fault(one["loc"], given, one["msg"]) for one in error.errors()]
        raise StartRefused("settings: " + "; ".join(faults), reason="SETTINGS") from error


def _fault(location: tuple[int | str, ...], given: Mapping[str, str], rule: str) -> str:
    name = str(location[0]) if location else "environment"
    if name == "HEADWATER_DATABASE_URL":
        return f"{name} (value not shown): {rule}"
    return f"{name}={given[name]!r}: {rule}" if name in given else f"{name}: {rule}"
