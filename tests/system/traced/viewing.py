"""What an operator is shown of a run: dead letters, causes, status, findings, errors; by the command and by the console."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from tests.system.processes import SERVICES
from tests.system.tenant import Tenant, event
from tests.system.traced.producing import DOMAIN, EMAIL, FIRST_NAME, TOKEN

from headwater.ingest.v1 import ingest_pb2

SHOWN: Final = 5
"""Dead letters and causes that are looked at one by one."""
COMMAND_S: Final = 60
LISTS: Final = (
    ("deliveries", "list", "--state", "dead", "--limit", "500"),
    ("errors", "list"),
    ("quarantine", "groups"),
    ("connectors", "list"),
    ("status", "--once"),
    ("doctor",),
)
"""Commands that tell of a run without being asked for a record."""


def views(tenant: Tenant, directory: Path) -> dict[str, str]:
    """Return where to what is shown there.

    Raises:
        AssertionError: there is no dead letter, so that nothing could be found in one.
    """
    environment = _environment(tenant, directory)
    shown = {" ".join(words): _type(environment, *words) for words in LISTS}
    shown |= {f"{' '.join(words)} --json": _type(environment, *words, "--json") for words in LISTS}
    dead = json.loads(shown["deliveries list --state dead --limit 500 --json"])["deliveries"]
    groups = json.loads(shown["errors list --json"])["groups"]
    assert dead, "no dead letter"
    assert any(row["last_error"] for row in dead)
    for group in groups[:SHOWN]:
        shown[f"errors show {group['group_id']}"] = _type(
            environment, "errors", "show", group["group_id"], "--json"
        )
    for row in dead[:SHOWN]:
        shown[f"trace {row['event_key']}"] = _type(environment, "trace", row["event_key"])
        page = f"http://{tenant.world.address('console')}/event/{row['event_key']}?tenant={tenant.id}"
        shown[f"page of {row['event_key']}"] = httpx.get(page, timeout=20).raise_for_status().text
    return shown | dict(_errors(tenant))


def _errors(tenant: Tenant) -> Iterator[tuple[str, str]]:
    """Yield every part of the error objects that calls with planted values end with."""
    payload = {"email": f"{EMAIL}@{DOMAIN}.example", "first_name": FIRST_NAME, "api_key": TOKEN}
    first = event("erp", "contact", "error-1", **payload)
    first.request_id = "the same"
    other = event("erp", "contact", "error-1", **{**payload, "first_name": f"{FIRST_NAME} II"})
    other.request_id = "the same"
    broken = event("erp", "contact", "error-2")
    broken.payload = json.dumps(payload).encode()[:-9]
    nowhere = event("nowhere", "contact", "error-3", **payload)
    for what, message in {
        "first": first,
        "another payload": other,
        "no JSON": broken,
        "no source": nowhere,
    }.items():
        try:
            tenant.record_one(message)
        except grpc.RpcError as error:
            yield f"error: {what}", _parts(error)
    unknown = ingest_pb2.GetEventRequest(tenant_id=tenant.id, event_key=f"{EMAIL}@{DOMAIN}.example")
    try:
        tenant.world.ingest.GetEvent(unknown, timeout=20)
    except grpc.RpcError as error:
        yield (
            "error: a key that is none, without what was asked",
            _parts(error).replace(unknown.event_key, ""),
        )


def _parts(error: Any) -> str:
    trailing = [f"{key}: {value!r}" for key, value in error.trailing_metadata() or ()]
    return "\n".join([str(error.code()), str(error.details()), *trailing])


def _environment(tenant: Tenant, directory: Path) -> dict[str, str]:
    world = tenant.world
    addresses = {
        f"HEADWATER_{one.upper()}_ADDRESS": world.address(one) for one in ("ingest", "identity", "sync")
    }
    return {
        **addresses,
        "HEADWATER_CONSOLE_URL": f"http://{world.address('console')}",
        "HEADWATER_DATABASE_URL": world.database_url,
        "HEADWATER_DATA_DIR": str(directory / "operator"),
        "HEADWATER_METRICS_TARGETS_DIR": str(directory / "metrics"),
        "HEADWATER_TENANT": tenant.id,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{world.address('otlp')}",
        "PYTHONPATH": str(SERVICES),
        "PATH": "/usr/bin:/bin",
    }


def _type(environment: dict[str, str], *words: str) -> str:
    """Return both streams of a command; whatever it found, it must not have crashed."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater.cli", *words],
        env=environment, capture_output=True, text=True, timeout=COMMAND_S, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout if words[-1] == "--json" else done.stdout + done.stderr
