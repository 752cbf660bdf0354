"""`headwater load` as typed, against the real service: results, exit codes, refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.integration.ingest.world import service
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.cli.loading.target import load_policy_text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

SHORT = ("load", "--duration", 1, "--warm-up", 0.5, "--batch", 10)


@pytest.fixture
def environment(migrated_database_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment whose ingest is a real one, where tenant acme has a policy and so one event."""
    served = service(migrated_database_url, policy=load_policy_text())
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(served) as client:
        yield {
            "HEADWATER_INGEST_ADDRESS": f"127.0.0.1:{client.port}",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
        }


def _type(environment: dict[str, str], *words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env=environment)


def test_a_load_is_measured_and_accounted_for(environment: dict[str, str], tmp_path: Path) -> None:
    """One JSON document: every parameter, latencies, outcomes, and nothing lost or doubled; the picture is drawn."""
    picture = tmp_path / "load.svg"
    words = (*SHORT, "--verify", "--duplicates", 0.2, "--invalid", 0.1, "--tenants", 3, "--skew", 1)
    done = _type(environment, *words, "--json", "-", "--picture", picture)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["parameters"]["tenant_ids"] == ["load-1", "load-2", "load-3"]
    assert found["parameters"]["duplicates"] == 0.2
    assert found["verification"]["passed"]
    assert found["verification"]["lost"] == found["verification"]["doubled"] == 0
    assert min(found["outcomes"][name] for name in ("accepted", "duplicate", "quarantined")) > 0
    assert found["latency_ms"]["corrected"]["p99"] > 0
    assert found["environment"]["cores"] >= 1
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_a_goal_that_is_missed_ends_with_1(environment: dict[str, str], tmp_path: Path) -> None:
    """The results are written all the same, and say which goal."""
    file = tmp_path / "results.json"
    done = _type(environment, *SHORT, "--min-rate", 1e9, "--max-errors", 0, "--json", file)
    assert done.exit_code == 1
    goals = json.loads(file.read_text(encoding="utf-8"))["goals"]
    assert [(goal["goal"], goal["met"]) for goal in goals] == [("min_rate", False), ("max_errors", True)]
    assert "min_rate" in done.stdout


def test_a_tenant_with_data_is_refused_unless_told(environment: dict[str, str]) -> None:
    """Made-up records are not mixed with anybody's without a word."""
    refused = _type(environment, *SHORT, "--tenant", "acme", "--json", "-")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["reason"] == "UNCONFIRMED"
    told = _type(environment, *SHORT, "--tenant", "acme", "--yes", "--verify")
    assert told.exit_code == 0, told.output


def test_the_limit_is_searched_in_probes(environment: dict[str, str]) -> None:
    """From a rate that is surely kept to one that is not; the figures are those at the limit."""
    words = ("load", "--find-limit", "--rate", 50, "--batch", 10, "--duration", 0.5, "--warm-up", 0)
    found = json.loads(_type(environment, *words, "--p99-ms", 0.1, "--json", "-").stdout)
    assert found["limit"]["events_per_s"] is None
    assert [probe["kept"] for probe in found["limit"]["probes"]] == [False] * len(found["limit"]["probes"])
    assert found["passed"] is False


def test_nobody_there_ends_with_69(tmp_path: Path) -> None:
    """As with every other command; the sentence names the address."""
    environment = {"HEADWATER_DATA_DIR": str(tmp_path)}
    done = _type(environment, *SHORT, "--address", "127.0.0.1:1")
    assert done.exit_code == 69
    assert "127.0.0.1:1" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("--shape", "mail"), ("--picture", "x.bmp"), ("--ramp", "5"), ("--stack", "--address", "127.0.0.1:1")],
)
def test_wrong_options_end_with_2(words: tuple[str, ...], tmp_path: Path) -> None:
    """Before anything is started."""
    assert _type({"HEADWATER_DATA_DIR": str(tmp_path)}, "load", *words).exit_code == 2
