"""`headwater certs` and `headwater tokens`: what they write is what services read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from headwater.cli.commands import certs, tokens
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import Unauthenticated
from headwater.kernel.security.security import open_security
from headwater.kernel.security.settings import SecuritySettings
from headwater.kernel.security.tokens import check_token, read_book


def _call(app: Any, directory: Path, *arguments: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, [*arguments, "--data-dir", str(directory), "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_certificates_of_the_command_are_what_a_service_starts_with(tmp_path: Path) -> None:
    """Made, issued, renewed, listed: and a service may then listen anywhere."""
    _call(certs.app, tmp_path, "init")
    issued = _call(certs.app, tmp_path, "issue", "sync", "--role", "service", "--host", "sync.internal")
    renewed = _call(certs.app, tmp_path, "renew", "sync")["renewed"][0]
    assert renewed["names"] == issued["names"]
    assert renewed["serial"] != issued["serial"]
    shown = _call(certs.app, tmp_path, "show")["certificates"]
    assert [(one["name"], one["due"]) for one in shown] == [("ca", False), ("sync", False)]
    variables = {
        "HEADWATER_TLS_CERT": issued["certificate"],
        "HEADWATER_TLS_KEY": issued["key"],
        "HEADWATER_TLS_CA": shown[0]["certificate"],
    }
    security = open_security(SecuritySettings.model_validate(variables))
    security.check_address("sync.internal:7403")


def test_nothing_is_renewed_before_it_is_due(tmp_path: Path) -> None:
    """What runs every day does nothing on most."""
    _call(certs.app, tmp_path, "init")
    _call(certs.app, tmp_path, "issue", "gateway", "--role", "producer", "--tenant", "acme")
    assert _call(certs.app, tmp_path, "renew") == {"renewed": []}


def test_a_token_of_the_command_is_good_until_the_command_takes_it_back(tmp_path: Path) -> None:
    """Shown once, kept as a hash."""
    made = _call(tokens.app, tmp_path, "create", "gateway", "--role", "producer", "--tenant", "acme")
    path, now = tmp_path / "tokens.json", SystemClock().now()
    assert check_token(made["token"], read_book(path), now).tenants == {"acme"}
    assert "token" not in _call(tokens.app, tmp_path, "list")["tokens"][0]
    _call(tokens.app, tmp_path, "revoke", made["token_id"])
    with pytest.raises(Unauthenticated):
        check_token(made["token"], read_book(path), now)
    assert _call(tokens.app, tmp_path, "prune") == {"removed": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        ("gateway", "--role", "producer"),
        ("gateway", "--tenant", "acme"),
        ("gateway", "--role", "king", "--tenant", "acme"),
        ("gateway", "--role", "producer", "--tenant", "No Tenant"),
    ],
)
def test_a_token_for_nothing_or_nobody_is_not_made(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """And says what is missing."""
    done = CliRunner().invoke(tokens.app, ["create", *arguments, "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert not (tmp_path / "tokens.json").exists()


def test_the_list_tells_what_is_broad(tmp_path: Path) -> None:
    """Over-broad grants are flagged where they are looked at."""
    _call(tokens.app, tmp_path, "create", "root", "--role", "admin", "--every-tenant")
    assert _call(tokens.app, tmp_path, "list")["tokens"][0]["broad"] == [
        "may do everything",
        "for every tenant",
    ]
