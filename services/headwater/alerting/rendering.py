"""The files of Prometheus and Alertmanager as text; the same input gives the same bytes."""

from __future__ import annotations

import io
from typing import Any, Final

from ruamel.yaml import YAML

from headwater.alerting.connector import ConnectorAlerts
from headwater.alerting.platform import PlatformAlerts
from headwater.alerting.rules import Alert, Group, Scale
from headwater.policy.document import PolicyDocument

HEADER: Final = "# Made by `headwater alerts generate`; changes belong into the policy's `alarms` or headwater.alerting.\n"
PRODUCTION: Final = Scale()


def groups_of(document: PolicyDocument, scale: Scale = PRODUCTION, tenant: str = "") -> tuple[Group, ...]:
    """Return the alerts of Headwater and of every enabled connector of a policy."""
    compared = document.reconcile
    objectives = compared.objectives if compared is not None else None
    connectors = (
        Group(
            f"headwater-connector-{name}", ConnectorAlerts(name, policy, scale, tenant, objectives).alerts()
        )
        for name, policy in sorted(document.connectors.items())
        if policy.enabled
    )
    return (Group("headwater", PlatformAlerts(scale).alerts()), *connectors)


def rules_text(groups: tuple[Group, ...], scale: Scale = PRODUCTION) -> str:
    """Return Prometheus's rule file."""
    return HEADER + yaml_text(
        {
            "groups": [
                {"name": group.name, "rules": [_rule(alert, scale) for alert in group.alerts]}
                for group in groups
            ]
        }
    )


def yaml_text(value: Any) -> str:
    """Return *value* as YAML."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = io.StringIO()
    yaml.dump(value, written)
    return written.getvalue()


def _rule(alert: Alert, scale: Scale) -> dict[str, Any]:
    labels = {"severity": alert.severity, **alert.labels}
    connector_runbook = labels.pop("connector_runbook", "")
    annotations = {
        "summary": alert.summary,
        "impact": alert.impact,
        "runbook": f"headwater runbook {alert.name}",
        "runbook_url": f"services/headwater/runbooks/pages/{alert.name}.md",
    }
    if connector_runbook:
        annotations["connector_runbook"] = connector_runbook
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expression}
    if alert.for_s:
        rule["for"] = scale.pause(alert.for_s)
    return {**rule, "labels": labels, "annotations": annotations}
