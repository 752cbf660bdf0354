"""Who hears of which alert, and which one keeps another quiet: a cause is told, its symptoms are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from headwater.alerting.rules import Scale

RECEIVERS: Final = ("page", "ticket", "deadmans")
"""Receivers, each a webhook of its own: what they lead to is the operator's."""

_SYNC_SYMPTOMS: Final = (
    "HeadwaterNothingSynced|HeadwaterBacklogOld|HeadwaterLatencyHigh|HeadwaterLogLag|HeadwaterAccountNotHeld"
    "|HeadwaterHeartbeatStale|HeadwaterStateUnread|HeadwaterCallsFail|HeadwaterAuditUnsigned"
    "|HeadwaterAuditNumberingBehind"
)
_RATES: Final = (
    "HeadwaterFailuresHigh", "HeadwaterErrorBudgetBurnSlow", "HeadwaterSuccessLow", "HeadwaterErrorBudgetBurnMiddling",
    "HeadwaterSuccessVeryLow", "HeadwaterErrorBudgetBurnFast",
)  # fmt: skip
"""Alerts about the share of dead letters, from the mildest to the gravest: the gravest is told."""
_LATE: Final = "HeadwaterNothingSynced|HeadwaterBacklogOld|HeadwaterLatencyHigh|HeadwaterRetriesHigh"

Inhibition = tuple[str, str, tuple[str, ...]]

INHIBITIONS: Final[tuple[Inhibition, ...]] = (
    ("HeadwaterProcessDown|HeadwaterServiceMissing", _SYNC_SYMPTOMS, ()),
    ("HeadwaterLogLag", "HeadwaterNothingSynced|HeadwaterLatencyHigh|HeadwaterAckSlow", ()),
    ("HeadwaterHeartbeatStale", f"HeadwaterAccountNotHeld|HeadwaterLogLag|HeadwaterAuditUnsigned|HeadwaterAuditNumberingBehind|{_LATE}", ()),
    ("HeadwaterStateUnread", "HeadwaterAuditUnsigned|HeadwaterAuditNumberingBehind|HeadwaterBacklogOld|HeadwaterLogLag", ()),
    ("HeadwaterAckSlow", "HeadwaterNothingSynced|HeadwaterIngestRefuses|HeadwaterCallsFail|HeadwaterLatencyHigh", ()),
    ("HeadwaterIngestRefuses", "HeadwaterNothingSynced|HeadwaterCallsFail", ()),
    ("HeadwaterAccountNotHeld|HeadwaterAccountPaused|HeadwaterBreakerOpen", _LATE, ("connector",)),
    ("HeadwaterAccessRefused|HeadwaterTokenEndsNow", f"{_LATE}|HeadwaterBreakerOpen", ("connector",)),
    ("HeadwaterRateLimited|HeadwaterQuotaRunsOut", _LATE, ("connector",)),
    ("HeadwaterQuotaRunsOut", "HeadwaterQuotaHigh", ("connector",)),
    ("HeadwaterTokenEndsNow", "HeadwaterTokenEndsSoon", ("connector",)),
    ("HeadwaterAccessRefused", "|".join(_RATES), ("connector",)),
    ("HeadwaterBacklogOld", "HeadwaterLatencyHigh|HeadwaterNothingSynced|HeadwaterRetriesHigh", ("connector",)),
    *(
        (grave, "|".join(_RATES[:number]), ("connector",))
        for number, grave in enumerate(_RATES)
        if number
    ),
    ("|".join(_RATES), "HeadwaterRetriesHigh|HeadwaterDeadLetters", ("connector",)),
)  # fmt: skip
"""Causes, the symptoms that they keep quiet, and the labels that both must share."""


def alertmanager_config(urls: Mapping[str, str], scale: Scale) -> dict[str, Any]:
    """Return Alertmanager's configuration.

    Args:
        urls: receiver to the webhook that hears of its alerts.
    """
    return {
        "route": {
            "receiver": "ticket",
            "group_by": ["alertname", "connector", "service", "tenant"],
            "group_wait": scale.pause(30),
            "group_interval": scale.pause(300),
            "repeat_interval": scale.pause(14_400),
            "routes": [
                {
                    "matchers": ['alertname="HeadwaterDeadMansSwitch"'],
                    "receiver": "deadmans",
                    "group_wait": "0s",
                    "repeat_interval": scale.pause(300),
                },
                {"matchers": ['severity="page"'], "receiver": "page", "group_wait": scale.pause(10)},
                {"matchers": ['severity="ticket"'], "receiver": "ticket"},
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": [f'alertname=~"{sources}"'],
                "target_matchers": [f'alertname=~"{targets}"'],
                **({"equal": list(shared)} if shared else {}),
            }
            for sources, targets, shared in INHIBITIONS
        ],
        "receivers": [
            {"name": name, "webhook_configs": [{"url": urls[name], "send_resolved": True}]}
            for name in RECEIVERS
        ],
    }
