"""`headwater vault` and `headwater connect` as they are typed, on a database and a sandbox of the test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.contract.sandbox.process import SandboxProcess

pytestmark = pytest.mark.timeout(60)

SECRETS = {"client_id": "application-7", "client_secret": "sandbox-secret", "refresh_token": "refresh-x-9"}
WAIT_S = 20.0


@dataclass(slots=True)
class Typed:
    """A terminal of the test's own."""

    environment: dict[str, str]

    def command(self, *words: object) -> list[str]:
        """Return the command line."""
        return [sys.executable, "-m", "headwater.cli", *map(str, words)]

    def run(self, *words: object, stdin: str = "", code: int = 0) -> Any:
        """Run a command and return its JSON; nothing that it prints holds a secret."""
        done = subprocess.run(
            self.command(*words, "--json"),
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            timeout=WAIT_S,
        )
        assert done.returncode == code, done.stderr
        for secret in ("sandbox-secret", "refresh-x-9"):
            assert secret not in done.stdout + done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def typed(migrated_database_url: str, tmp_path: Path) -> Typed:
    """A terminal whose database and key ring are the test's."""
    return Typed(
        {
            **os.environ,
            "HEADWATER_DATABASE_URL": migrated_database_url,
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_DURABILITY_OVERRIDE": "true",
            "HEADWATER_TENANT": "acme",
        }
    )


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxProcess]:
    """A sandbox of the test's own."""
    with SandboxProcess(tmp_path / "sandbox") as process:
        yield process


def test_a_secret_is_set_listed_and_removed_without_being_shown(typed: Typed) -> None:
    """Names of fields are all that is told."""
    refused = typed.run("vault", "set", "crm", stdin=json.dumps(SECRETS), code=1)
    assert refused["error"]["reason"] == "VAULT_NOT_INITIALISED"
    typed.run("vault", "init")
    assert typed.run("vault", "set", "crm", stdin=json.dumps(SECRETS))["version"] == 1
    [listed] = typed.run("vault", "list")["connections"]
    assert (listed["connection"], listed["fields"]) == ("crm", sorted(SECRETS))
    assert typed.run("vault", "remove", "crm", "--yes") == {"connection": "crm"}


def test_a_key_is_rotated_checked_and_retired(typed: Typed, tmp_path: Path) -> None:
    """What may be retired is told before, and the key is out of the ring afterwards."""
    first = typed.run("vault", "init")["key_id"]
    rotated = typed.run("vault", "rotate")
    keys = {key["key_id"]: key["may_retire"] for key in typed.run("vault", "status")["keys"]}
    assert keys == {first: True, rotated["key_id"]: False}
    typed.run("vault", "retire", first)
    assert set(json.loads((tmp_path / "data" / "vault-keys.json").read_text())) == {rotated["key_id"]}


@pytest.mark.parametrize("vendor", ["hubspot", "pipedrive"])
def test_a_person_connects_an_account_in_the_browser(
    typed: Typed, sandbox: SandboxProcess, vendor: str
) -> None:
    """The page is printed, one click agrees, PKCE and state hold, and the grant is in the vault.

    Pipedrive takes the client's name and secret in the header only.
    """
    typed.run("vault", "init")
    words = (
        "connect",
        vendor,
        "--client-id",
        "application-7",
        "--base-url",
        f"{sandbox.url}/{vendor}/acme",
    )
    with subprocess.Popen(
        typed.command(*words, "--no-browser", "--port", 0, "--wait", 15, "--json"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=typed.environment,
    ) as connecting:
        assert connecting.stdin
        assert connecting.stderr
        assert connecting.stdout
        connecting.stdin.write(json.dumps({"client_secret": "sandbox-secret"}))
        connecting.stdin.close()
        visit = next(line.strip() for line in connecting.stderr if line.startswith("http"))
        asked = httpx.URL(visit).params
        assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")
        stray = httpx.get(asked["redirect_uri"], params={"code": "stolen", "state": "guessed"})
        assert stray.status_code == 200  # a redirect that is not ours is waited past
        page = httpx.get(visit)
        agree = re.findall(r'href="([^"]+)"', page.text)[0].replace("&amp;", "&")
        assert httpx.get(httpx.URL(visit).join(agree), follow_redirects=True).status_code == 200
        report = json.loads(connecting.stdout.read())
        assert connecting.wait(WAIT_S) == 0
    assert report["credentials"] == f"vault:{vendor}"
    [listed] = typed.run("vault", "list")["connections"]
    assert listed["fields"] == ["client_id", "client_secret", "refresh_token"]


def test_an_application_signs_in_with_its_key(typed: Typed, sandbox: SandboxProcess, tmp_path: Path) -> None:
    """JWT bearer: no browser and no secret; the token endpoint was asked before anything was stored."""
    typed.run("vault", "init")
    pem = tmp_path / "key.pem"
    key = rsa.generate_private_key(65_537, 2_048)
    pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    words = ["connect", "salesforce", "--client-id", "application-7", "--grant", "jwt_bearer"]
    words += ["--username", "me@example.com", "--private-key", str(pem), "--name", "sf"]
    typed.run(*words, "--base-url", f"{sandbox.url}/salesforce/acme")
    [listed] = typed.run("vault", "list")["connections"]
    assert listed["fields"] == ["client_id", "grant_type", "private_key", "username"]
