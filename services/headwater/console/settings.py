"""Settings of the console process, read once from `HEADWATER_CONSOLE_*`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from headwater.kernel.errors import StartRefused
from headwater.kernel.security.calling import ChannelSecurity

PREFIX: Final = "HEADWATER_CONSOLE_"
SERVICES: Final = ("ingest", "identity", "sync")
"""Who is asked for an event's life, at `HEADWATER_<SERVICE>_ADDRESS`."""
TENANT: Final = "HEADWATER_TENANT"
_PORT_MAX: Final = 65_535
_BOUNDS: Final = (
    ("otlp_port", 0, _PORT_MAX),
    ("http_port", 0, _PORT_MAX),
    ("store_bytes_max", 1 << 20, 1 << 40),
    ("pending_bytes_max", 1 << 20, 1 << 30),
    ("message_bytes_max", 1 << 16, 1 << 28),
)


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """What the console may be told; it listens on loopback only, which is no setting."""

    data_dir: Path
    """Directory of the store; made when missing."""
    otlp_port: int = 4317
    """OTLP/gRPC; 0 lets the system choose."""
    http_port: int = 4320
    """Pages and JSON API; 0 lets the system choose. Not 4318, which is the custom of OTLP over HTTP."""
    store_bytes_max: int = 256 * 1024 * 1024
    """Size at which the ring drops its oldest traces."""
    pending_bytes_max: int = 32 * 1024 * 1024
    """Exports received and not yet stored; beyond it a sender is told to come again."""
    message_bytes_max: int = 16 * 1024 * 1024
    """Largest export."""
    drain_s: float = 5.0
    """How long exports under way may take at the end."""
    log_level: str = "info"
    services: Mapping[str, str] = field(default_factory=dict)
    """host:port of each of `SERVICES`; without all of them no event's life is shown, only spans."""
    security: ChannelSecurity = field(default_factory=ChannelSecurity)
    """What the console shows to the services (HEADWATER_TLS_*, HEADWATER_TOKEN): whoever reads its page reads by that."""
    tenant_id: str = ""
    """Tenant of an event that is asked for by its key alone, where no span names one."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings.

        Raises:
            StartRefused: names every variable at fault, the value seen and the rule.
        """
        faults: list[str] = []
        data_dir = environ.get(f"{PREFIX}DATA_DIR", "").strip()
        if not data_dir:
            faults.append(f"{PREFIX}DATA_DIR is not set: the directory of the span store")
        given = {name: _number(environ, name, least, most, faults) for name, least, most in _BOUNDS}
        numbers = {name: number for name, number in given.items() if number is not None}
        if faults:
            raise StartRefused("; ".join(faults))
        level = environ.get(f"{PREFIX}LOG_LEVEL", "").strip() or "info"
        services = {name: environ.get(f"HEADWATER_{name.upper()}_ADDRESS", "").strip() for name in SERVICES}
        return cls(
            Path(data_dir),
            log_level=level,
            services={name: address for name, address in services.items() if address},
            security=ChannelSecurity.from_environment(environ),
            tenant_id=environ.get(TENANT, "").strip(),
            **numbers,
        )


def _number(environ: Mapping[str, str], name: str, least: int, most: int, faults: list[str]) -> int | None:
    variable = PREFIX + name.upper()
    text = environ.get(variable, "").strip()
    if not text:
        return None
    if text.isdecimal() and least <= int(text) <= most:
        return int(text)
    faults.append(f"{variable}={text!r}: a whole number from {least} to {most}")
    return None
