"""What a user types, against a fake ingest at the process's edge."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.doubles.fake_ingest import FakeIngest, serving
from typer.testing import CliRunner, Result

from headwater.cli.app import COMMANDS, app

_POLICY = Path(__file__).parents[3] / "services/headwater/samples/policy.yaml"


@pytest.fixture
def fake() -> FakeIngest:
    """The service's double."""
    return FakeIngest()


@pytest.fixture
def environment(fake: FakeIngest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose ingest is the double, and where nothing else answers."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(fake)) as address,
    ):
        yield {
            "HEADWATER_INGEST_ADDRESS": address,
            "HEADWATER_SYNC_ADDRESS": "127.0.0.1:1",
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": "acme",
        }


def _type(environment: dict[str, str], *words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env=environment)


def test_help_imports_nothing_heavy() -> None:
    """The help page is a table: no gRPC, no database driver, no pydantic."""
    heavy = "{'grpc', 'asyncpg', 'pydantic', 'psutil', 'headwater.kernel'}"
    program = f"import sys, headwater.cli.app; sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_has_a_help_page(name: str) -> None:
    """The real command's help is shown, not the placeholder's."""
    done = CliRunner().invoke(app, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert "Stand in for a command" not in done.output


def test_a_file_is_ingested_once_and_its_repetition_is_all_duplicates(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Counts by outcome on stdout as JSON; a quarantined row is told with its broken rule."""
    file = tmp_path / "people.csv"
    file.write_text("id,email\n1,a@example.com\n2,broken\n3,c@example.com\n")
    words = ("ingest", "csv", file, "--source", "crm", "--object", "contact", "--id-column", "id", "--json")
    first, second = _type(environment, *words), _type(environment, *words)
    assert json.loads(first.stdout)["outcomes"] == {"accepted": 2, "quarantined": 1}
    assert json.loads(first.stdout)["troubles"][0]["number"] == 2
    assert json.loads(second.stdout)["outcomes"] == {"duplicate": 2, "quarantined": 1}
    assert (first.exit_code, second.exit_code) == (0, 0)


def test_an_unreadable_row_is_counted_and_fails_the_command(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The rest is recorded all the same."""
    file = tmp_path / "people.csv"
    file.write_text("id,email\n,a@example.com\n2,b@example.com\n")
    words = ("ingest", "csv", file, "--source", "crm", "--object", "contact", "--id-column", "id", "--json")
    done = _type(environment, *words)
    assert json.loads(done.stdout)["outcomes"] == {"accepted": 1, "unreadable.missing_id": 1}
    assert done.exit_code == 1


def test_a_policy_is_applied_once_and_put_back_under_a_new_number(
    environment: dict[str, str], fake: FakeIngest, tmp_path: Path
) -> None:
    """Applying what is in force changes nothing; going back to an older one is an event of its own."""
    other = tmp_path / "other.yaml"
    other.write_text(_POLICY.read_text().replace("2026-11-1", "2026-11-2"))
    changed = [
        json.loads(_type(environment, "policy", "apply", file, "--json").stdout)["changed"]
        for file in (_POLICY, _POLICY, other, _POLICY)
    ]
    assert changed == [True, False, True, True]
    ids = [item.event.request_id for item in reversed(fake.policy_events["acme"])]
    assert ids[0] + ":2" == ids[2]
    assert json.loads(_type(environment, "policy", "diff", other, "--json").stdout) == [
        {"path": "version", "change": "changed", "before": '"2026-11-1"', "after": '"2026-11-2"'}
    ]


def test_a_faulty_policy_is_told_with_line_path_and_rule(tmp_path: Path) -> None:
    """Exit code 1, and every fault."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        _POLICY.read_text().replace("owners: [webform], rule: first", "owners: [nobody], rule: first")
    )
    done = CliRunner().invoke(app, ["policy", "check", str(file), "--json"])
    (fault,) = json.loads(done.stdout)["faults"]
    assert (done.exit_code, fault["rule"]) == (1, "known_system")
    assert "form" in file.read_text().splitlines()[fault["line"] - 1]


def test_a_service_that_is_away_is_named_with_what_to_do(environment: dict[str, str]) -> None:
    """Exit code 69, one sentence on stderr, a JSON document on stdout."""
    done = _type(environment, "connectors", "accounts", "--json")
    assert done.exit_code == 69
    assert "headwater up" in done.stderr
    assert json.loads(done.stdout)["error"]["reason"] == "UNAVAILABLE"


def test_wrong_usage_is_exit_code_2() -> None:
    """An unknown command is answered with the nearest one."""
    done = CliRunner().invoke(app, ["stauts"])
    assert done.exit_code == 2
    assert "status" in done.stderr
