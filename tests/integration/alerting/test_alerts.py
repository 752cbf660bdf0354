"""Every alert fires when it must and is quiet when it must be: promtool runs the committed rules on made-up series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from deploy.grafana.boards import BOARDS
from ruamel.yaml import YAML
from tests.integration.alerting.cases import ALWAYS, CASES, Case
from tests.integration.alerting.tools import ROUTES, RULES, SAMPLE_POLICY, filled, run

from headwater.alerting.rendering import HEADER, groups_of, rules_text, yaml_text
from headwater.alerting.routing import INHIBITIONS, RECEIVERS, alertmanager_config
from headwater.alerting.rules import Scale
from headwater.cli.commands.alerts import WEBHOOK
from headwater.cli.policy_files import read_policy

GROUPS = groups_of(read_policy(SAMPLE_POLICY).document)
ALERTS = {alert.name: alert for group in GROUPS for alert in group.alerts}


def test_the_committed_files_are_what_the_generator_makes() -> None:
    """Nobody edits the rules by hand: `headwater alerts generate` on the shipped policy gives these bytes."""
    urls = {name: f"{WEBHOOK}/{name}" for name in RECEIVERS}
    assert RULES.read_text(encoding="utf-8") == rules_text(GROUPS)
    assert ROUTES.read_text(encoding="utf-8") == HEADER + yaml_text(alertmanager_config(urls, Scale()))


@pytest.mark.parametrize("fires", [True, False])
def test_every_alert_has_a_case_of_each_kind(*, fires: bool) -> None:
    """An alert without a case that must fire, and one that must not, is not known to work."""
    told = {case.alert for case in CASES if case.fires is fires}
    assert told == set(ALERTS) - (set() if fires else ALWAYS)


def _question(case: Case) -> dict[str, Any]:
    firing = f'count by (alertname) (ALERTS{{alertname="{case.alert}",alertstate="firing",connector!="salesforce"}})'
    expected = [{"labels": f'{{alertname="{case.alert}"}}', "value": 1}] if case.fires else []
    return {
        "name": f"{case.alert}: {case.why}",
        "interval": f"{case.step_m}m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": f"{case.at_m}m", "exp_samples": expected}],
    }


def _written(folder: Path, alert: str, step_m: int, cases: list[Case]) -> Path:
    """Write the committed rules of one alert and the questions to it: all rules at once would take minutes."""
    groups = [
        {"name": group["name"], "rules": [rule for rule in group["rules"] if rule["alert"] == alert]}
        for group in YAML(typ="safe").load(RULES)["groups"]
    ]
    rules = folder / f"{alert}-rules.yml"
    rules.write_bytes(msgspec.json.encode({"groups": groups}))  # JSON is YAML
    questions = {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{step_m}m",
        "tests": [_question(case) for case in cases],
    }
    file = folder / f"{alert}-{step_m}.yml"
    file.write_bytes(msgspec.json.encode(questions))
    return file


def test_alerts_fire_when_they_must_and_only_then(tmp_path: Path) -> None:
    """Promtool evaluates each of the committed rules over the series of its cases."""
    asked = dict.fromkeys((case.alert, case.step_m) for case in CASES)
    files = [
        _written(tmp_path, *key, [case for case in CASES if (case.alert, case.step_m) == key])
        for key in asked
    ]
    said = run("promtool", "test", "rules", *map(str, files))
    assert said.count("SUCCESS") == len(files)


def test_a_case_that_is_wrong_is_told(tmp_path: Path) -> None:
    """The other side of the coin: the same question with the opposite answer expected is refused by promtool."""
    case = next(item for item in CASES if item.alert == "HeadwaterBreakerOpen" and item.fires)
    file = _written(tmp_path, case.alert, 1, [replace(case, fires=False)])
    with pytest.raises(AssertionError, match="HeadwaterBreakerOpen"):
        run("promtool", "test", "rules", str(file))


def test_prometheus_accepts_the_rules() -> None:
    """Promtool finds every rule in order, also those of a drill."""
    said = run("promtool", "check", "rules", str(RULES))
    assert f"{sum(len(group.alerts) for group in GROUPS)} rules found" in said


def test_prometheus_understands_every_query_of_the_dashboards(tmp_path: Path) -> None:
    """Promtool parses each as a recording rule, Grafana's variables filled in."""
    queries = [filled(query) for board in BOARDS for panel in board.panels for query, _ in panel.queries]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "panels.yml"
    file.write_bytes(msgspec.json.encode({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(queries)} rules found" in run("promtool", "check", "rules", str(file))


def test_prometheus_accepts_its_configuration() -> None:
    """Promtool finds the file of deploy/ in order, its rules included."""
    assert "is valid" in run("promtool", "check", "config", "deploy/prometheus/prometheus.yml")


def test_alertmanager_accepts_the_routes() -> None:
    """Amtool finds the configuration in order."""
    said = run("amtool", "check-config", str(ROUTES))
    assert f"{len(INHIBITIONS)} inhibit rules" in said


ROUTED = (
    "HeadwaterDeadMansSwitch",
    "HeadwaterBreakerOpen",
    "HeadwaterProcessDown",
    "HeadwaterQuotaHigh",
    "HeadwaterLogLag",
)
"""One alert at least of each severity; nothing but the severity and the switch's name decides."""


@pytest.mark.parametrize("name", ROUTED)
def test_an_alert_goes_to_who_has_to_hear_of_it(name: str) -> None:
    """Amtool routes pages to the pager, tickets to the tickets, and the dead man's switch to its own receiver."""
    severity = ALERTS[name].severity
    said = run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={ROUTES}",
        f"alertname={name}",
        f"severity={severity}",
    )
    assert said.strip() == {"none": "deadmans"}.get(severity, severity)


def test_who_is_kept_quiet_is_an_alert() -> None:
    """Causes and symptoms of the inhibitions are alerts that exist: a slip of the pen would keep nobody quiet."""
    named = {name for sources, targets, _ in INHIBITIONS for name in f"{sources}|{targets}".split("|")}
    assert named <= set(ALERTS)
    assert all(not set(sources.split("|")) & set(targets.split("|")) for sources, targets, _ in INHIBITIONS)


def test_every_alert_says_what_to_do_and_whom_it_concerns() -> None:
    """A rule has a runbook, the connector's owner and backup, and what it means for the business."""
    for group in YAML(typ="safe").load(RULES)["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["runbook"] == f"headwater runbook {rule['alert']}"
            assert rule["annotations"]["impact"]
            if group["name"] != "headwater":
                assert rule["labels"]["owner"]
                assert rule["labels"]["backup"]
