"""The settings of the sandbox process: the one place that reads `HEADWATER_SANDBOX_*`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SandboxSettings(BaseSettings):
    """Everything that can be set from outside, with unit and origin of each default."""

    model_config = SettingsConfigDict(env_prefix="HEADWATER_SANDBOX_", frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", pattern=r"^(127(\.\d{1,3}){3}|localhost)$")
    """Loopback address to listen on; anything else is refused."""
    port: int = Field(default=8790, ge=0, le=65535)
    """Port to listen on; 0 takes a free one, told in the ready line."""
    events_port: int = Field(default=0, ge=0, le=65535)
    """Port of Salesforce's Pub/Sub API; 0 takes a free one, told in the ready line."""
    data_dir: Path = Path(".headwater/sandbox")
    """Directory of the state file `sandbox.db`; created when missing."""
    token_ttl_s: int = Field(default=1800, ge=1, le=86_400)
    """Life of an access token in seconds, where an account does not say otherwise (HubSpot: 1,800)."""
    seed: int = 1
    """Seeds every chance the fleet takes: result order, fault draws."""
    payload_bytes_max: int = Field(default=6_000_000, ge=1_000)
    """Largest request body accepted (Salesforce: 6 MB)."""
    hang_s_max: float = Field(default=600.0, gt=0)
    """Longest time that the faults `hang` and `commit_then_hang` hold a connection whose client stays."""
    shutdown_s_max: float = Field(default=3.0, gt=0)
    """How long a graceful stop waits for calls in flight."""
