"""Which processes a stack has, in which order, and the environment that each is given. Pure."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headwater.cli.stack.layout import Layout

ORDER: Final = ("console", "sandbox", "ingest", "identity", "sync")
"""Order of starting; the end is in reverse: who sends ends before who receives."""

CREDENTIAL_VENDORS: Final = ("hubspot", "salesforce")
DATABASE_SERVICES: Final = frozenset({"ingest", "identity", "sync"})


@dataclass(frozen=True, slots=True)
class Service:
    """One process to run."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment of every process is made of."""

    layout: Layout
    ports: Mapping[str, int]
    database_url: str
    account: str
    trace_ratio: float

    def address(self, purpose: str) -> str:
        """Return host:port of a purpose."""
        return f"127.0.0.1:{self.ports[purpose]}"


def plan_services(base: Mapping[str, str], around: Surroundings) -> tuple[Service, ...]:
    """Return every process of the stack, in the order of starting."""
    return tuple(
        Service(name, (sys.executable, "-m", f"headwater.{name}"), {**base, **_environment(name, around)})
        for name in ORDER
    )


def secret_variable(vendor: str) -> str:
    """Return the variable that holds a vendor's credentials; named by the policy's `credentials`."""
    return f"HEADWATER_SECRET_{vendor.upper()}"


def sandbox_credentials(account: str) -> dict[str, str]:
    """Return what the sandbox takes for an account of its own."""
    return {
        "client_id": "headwater",
        "client_secret": "sandbox-secret",
        "refresh_token": f"sandbox-refresh-{account}",
    }


def _environment(name: str, around: Surroundings) -> dict[str, str]:
    shared = {
        "HEADWATER_INGEST_ADDRESS": around.address("ingest"),
        "HEADWATER_IDENTITY_ADDRESS": around.address("identity"),
        "HEADWATER_SYNC_ADDRESS": around.address("sync"),
        "HEADWATER_CONSOLE_URL": f"http://{around.address('console')}",
    }
    if name == "console":
        return shared | {
            "HEADWATER_CONSOLE_DATA_DIR": str(around.layout.console),
            "HEADWATER_CONSOLE_HTTP_PORT": str(around.ports["console"]),
            "HEADWATER_CONSOLE_OTLP_PORT": str(around.ports["otlp"]),
        }
    traced = shared | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{around.address('otlp')}",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "HEADWATER_TRACE_RATIO": str(around.trace_ratio),
        "HEADWATER_METRICS_ADDRESS": "127.0.0.1:0",
        "HEADWATER_METRICS_TARGETS_DIR": str(around.layout.metrics),
    }
    if name == "sandbox":
        return {
            "HEADWATER_SANDBOX_DATA_DIR": str(around.layout.sandbox),
            "HEADWATER_SANDBOX_PORT": str(around.ports["sandbox"]),
        }
    if name in DATABASE_SERVICES:
        traced["HEADWATER_DATABASE_URL"] = around.database_url
    if name == "ingest":
        traced["HEADWATER_INGEST_HTTP_ADDRESS"] = around.address("ingest_http")
    if name == "sync":
        traced["HEADWATER_DATA_DIR"] = str(around.layout.data_dir)
        credentials = json.dumps(sandbox_credentials(around.account))
        traced |= {secret_variable(vendor): credentials for vendor in CREDENTIAL_VENDORS}
    return traced
