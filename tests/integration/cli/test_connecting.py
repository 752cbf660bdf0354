"""`headwater test-connection` and `headwater connectors list`, as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.cli.kinds import Kind, markdown

POLICY = Path(__file__).parents[3] / "services/headwater/samples/policy.yaml"
SECRET = '{"client_id": "an-id", "client_secret": "hush-hush", "refresh_token": "a-token"}'


def typed(*words: object, **environment: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(app, [str(word) for word in words], env=environment)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The sample policy with its base URLs at an address where nobody listens."""
    file = tmp_path / "policy.yaml"
    lines = [
        f"{line.partition('base_url:')[0]}base_url: http://127.0.0.1:9" if "base_url:" in line else line
        for line in POLICY.read_text().splitlines()
    ]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_connector_that_nobody_answers_says_what_to_do(policy: Path) -> None:
    """Exit code 1 and the advice; no secret anywhere."""
    done = typed("test-connection", "hubspot", "--policy", policy, "--json", HEADWATER_SECRET_HUBSPOT=SECRET)
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"], told["vendor"]) == (1, False, "hubspot")
    assert "check the base URL, DNS, proxy and firewall" in told["findings"][0]
    assert "hush-hush" not in done.output


@pytest.mark.parametrize("secret", ["", "not json", "[1]", '{"client_id": 5}'])
def test_credentials_that_are_none_are_told_by_their_variable(policy: Path, secret: str) -> None:
    """Missing, malformed or of another shape: the variable is named, its value is not."""
    done = typed("test-connection", "hubspot", "--policy", policy, HEADWATER_SECRET_HUBSPOT=secret)
    assert (done.exit_code, "HEADWATER_SECRET_HUBSPOT" in done.stdout) == (1, True)


def test_credentials_that_lack_a_part_name_it(policy: Path) -> None:
    """What the connector needs is said by the connector."""
    done = typed(
        "test-connection", "hubspot", "--policy", policy, HEADWATER_SECRET_HUBSPOT='{"client_id": "x"}'
    )
    assert (done.exit_code, "refresh_token" in done.stdout) == (1, True)


def test_an_account_that_the_policy_does_not_name_is_not_found(policy: Path) -> None:
    """The known ones are listed."""
    done = typed("test-connection", "nobody", "--policy", policy, "--json")
    error = json.loads(done.stdout)["error"]
    assert (error["reason"], "hubspot" in error["message"]) == ("UNKNOWN_CONNECTOR", True)


def test_the_list_needs_no_service_and_tells_level_by_operation() -> None:
    """What stands there is what the tests that ran have written."""
    done = typed("connectors", "list", "--json")
    listed = {item["connector"]: item for item in json.loads(done.stdout)["connectors"]}
    assert "errors" in listed["hubspot"]["evidence"]["recorded"]
    assert "upsert" in listed["hubspot"]["evidence"]["vendor contract"]
    assert listed["salesforce"]["level"] == "recorded"
    assert "polling" in listed["salesforce"]["capabilities"]


def test_the_table_is_markdown_on_demand() -> None:
    """One row per connector, bars escaped, a fault in its own words."""
    kinds = [Kind("a", "p 1", ("x|y",), ("upsert",), 5, (), "recorded", (("recorded", ("upsert",)),))]
    lines = markdown([*kinds, Kind("b", "p 2", fault="cannot be loaded")]).splitlines()
    assert lines[2] == "| a | x\\|y | 5 | upsert | recorded | recorded: upsert |"
    assert "p 2 cannot be loaded" in lines[3]
    assert typed("connectors", "list", "--markdown").stdout.startswith("| connector | objects |")
