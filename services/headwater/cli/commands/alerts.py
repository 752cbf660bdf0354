"""`headwater alerts`: rules and routes for Prometheus and Alertmanager, made from a policy. Asks no service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from headwater.alerting.rendering import HEADER, groups_of, rules_text, yaml_text
from headwater.alerting.routing import RECEIVERS, alertmanager_config
from headwater.alerting.rules import Group, Scale
from headwater.cli.options import AsJson
from headwater.cli.output import table
from headwater.cli.policy_files import read_policy
from headwater.cli.session import Session, act

app = typer.Typer(
    rich_markup_mode="rich",
    no_args_is_help=True,
    help="Alert rules and routes from a policy: generate, list.",
)

WEBHOOK: Final = "http://127.0.0.1:9095"
"""Where alerts go unless told otherwise: a receiver in the same network namespace."""

Policy = Annotated[
    Path, typer.Option("--policy", help="Policy document: a YAML file, or a folder of them.", exists=True)
]
TenantOption = Annotated[
    str,
    typer.Option("--tenant", help="Only this tenant's accounts; by default all of the connectors' names."),
]


@app.command()
def generate(
    policy: Policy,
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.", file_okay=False)],
    tenant: TenantOption = "",
    webhook: Annotated[str, typer.Option("--webhook", help="Root of the receivers' URLs.")] = WEBHOOK,
    divisor: Annotated[
        float, typer.Option("--divisor", min=1, max=100_000, help="Divide all times by this, for a drill.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Write headwater-rules.yml for Prometheus and alertmanager.yml for Alertmanager.

    Thresholds, hours of traffic, owners and runbooks of each connector are the policy's; `alarms` of a connector
    changes them. The same policy gives the same bytes.

    Example:

      headwater alerts generate --policy policy.yaml --out deploy/prometheus
    """

    def work(session: Session) -> None:
        scale = Scale(divisor)
        groups = groups_of(read_policy(policy).document, scale, tenant)
        urls = {name: f"{webhook}/{name}" for name in RECEIVERS}
        texts = {
            "headwater-rules.yml": rules_text(groups, scale),
            "alertmanager.yml": HEADER + yaml_text(alertmanager_config(urls, scale)),
        }
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
        count = sum(len(group.alerts) for group in groups)
        said = f"{count} rules in {len(groups)} groups, written to {out}"
        session.output.result({"rules": count, "groups": len(groups), "files": sorted(texts)}, said)

    act(work, as_json=as_json, data_dir=None)


@app.command("list")
def list_alerts(policy: Policy, tenant: TenantOption = "", as_json: AsJson = False) -> None:
    """List the alerts that a policy gives: who is called, about what.

    Example:

      headwater alerts list --policy policy.yaml
    """

    def work(session: Session) -> None:
        groups = groups_of(read_policy(policy).document, tenant=tenant)
        rows = [
            (alert.name, alert.labels.get("connector", ""), alert.severity, alert.summary)
            for group in groups
            for alert in group.alerts
        ]
        session.output.result(
            {"alerts": _described(groups)}, table(("alert", "connector", "severity", "it says"), rows)
        )

    act(work, as_json=as_json, data_dir=None)


def _described(groups: tuple[Group, ...]) -> list[dict[str, object]]:
    return [
        {
            "alert": alert.name,
            "severity": alert.severity,
            "expression": alert.expression,
            "for_s": alert.for_s,
            "summary": alert.summary,
            "impact": alert.impact,
            "labels": dict(alert.labels),
        }
        for group in groups
        for alert in group.alerts
    ]
