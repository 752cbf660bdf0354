"""Accounts whose secrets are in the vault, through the real services: set anew, they go on without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

import pytest
from tests.system.policies import policy_text
from tests.system.tenant import Tenant, event
from tests.system.world import World

from headwater.policy.loading import policy_digest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

FINDINGS: Final = "select finding from sync.connector_state where tenant_id = $1 and connector = $2"
GRANTS: Final = (
    "select connection, version, state from sync.vault_connection where tenant_id = $1 order by connection"
)


def typed(tenant: Tenant, *words: str, **fields: str) -> Any:
    """Run `headwater vault` for a tenant and return what it reports."""
    done = subprocess.run(
        [sys.executable, "-m", "headwater.cli", "vault", *words, "--json"],
        check=True,
        input=json.dumps(fields) if fields else "",
        capture_output=True,
        text=True,
        timeout=20,
        env={
            **os.environ,
            **tenant.world.children["sync"].environment,
            "HEADWATER_TENANT": tenant.id,
            "HEADWATER_DURABILITY_OVERRIDE": "true",
        },
    )
    return json.loads(done.stdout)


def into_vault(tenant: Tenant) -> None:
    """Let the policy name a connection of the vault for each account."""
    text = policy_text(tenant.world.sandbox_url, tenant.id, "NAME")
    document = json.loads(text)
    for vendor, connector in document["connectors"].items():
        connector["credentials"] = f"vault:{vendor}"
    text = json.dumps(document)
    applied = event("headwater", "policy", tenant.id, document=text, digest=policy_digest(text))
    applied.request_id = f"policy:{policy_digest(text)}"
    tenant.record_one(applied)


def test_a_secret_set_while_services_run_is_used_without_a_restart(world: World) -> None:
    """Missing, then wrong, then right: each is told in the account's state, and the last one delivers."""
    tenant = world.tenant()
    typed(tenant, "init")
    own = {"client_id": "app", "client_secret": "sandbox-secret"}
    right = f"sandbox-refresh-{tenant.id}"
    typed(tenant, "set", "salesforce", **own, refresh_token=right)
    into_vault(tenant)

    def finding(words: str) -> bool:
        rows = world.fetch(FINDINGS, tenant.id, "hubspot")
        return bool(rows) and words in rows[0]["finding"]

    world.until(lambda: finding("the vault has no connection"), "the missing secret is told")
    typed(tenant, "set", "hubspot", **own, refresh_token="wrong-refresh-token")
    world.until(lambda: finding("refresh token"), "the wrong secret is told")
    typed(tenant, "set", "hubspot", **own, refresh_token=right)
    tenant.record_one(event("erp", "contact", "c-1", 1, email="ann@acme.example", last_name="Ann"))
    tenant.wait_until_settled(30)
    assert len(tenant.records("hubspot", "contacts")) == 1
    assert len(tenant.records("salesforce", "Contact")) == 1
    rows = [tuple(row) for row in world.fetch(GRANTS, tenant.id)]
    assert [(name, state) for name, _, state in rows] == [("hubspot", "ready"), ("salesforce", "ready")]
    assert "sandbox-secret" not in world.logs()
    assert right not in world.logs()
