"""The quarterly review for people: each account, what it has to be told of, and every mapped field on the page."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console
from tests.unit.sync.tenant import NOON, POLICY

from headwater.cli.reviewing import review_document, review_page, review_tables
from headwater.connectors.base.scopes import GrantFit
from headwater.policy.loading import load_policy
from headwater.sync.domain.field_review import Tally, Use, field_rows, review
from headwater.sync.v1 import reconciliation_pb2 as pb

SAME = POLICY.replace(
    "owner: marketing-ops\n    backup: platform", "owner: platform\n    backup: Platform ", 1
)


def reviews() -> list[tuple[pb.ReconciliationRun, dict[str, Any]]]:
    """Return the review of one account of which nothing is in use but an address."""
    document = load_policy(SAME.replace("rule: longest}", "rule: longest, class: secret}"))
    tally = Tally(
        held={("contacts", "email"): Use(3)},
        values={("contact", "email"): Use().plus(3, int(NOON.timestamp() * 1e6))},
        records=3,
    )
    report: dict[str, Any] = {
        "findings": [
            {"where": one.where, "what": one.what, "detail": one.detail}
            for name in ("hubspot", "salesforce")
            for one in review(document, name, tally, GrantFit(needless=("<full>",)), NOON)
        ],
        "mapped": field_rows(document, "hubspot", tally),
        "people": {"owner": "platform", "backup": "Platform"},
    }
    run = pb.ReconciliationRun(
        connector="hubspot", job="quarterly", detail="told", report=json.dumps(report).encode()
    )
    return [(run, report)]


def test_the_page_has_accounts_findings_and_fields() -> None:
    """Nothing of a CRM's text is taken for markup."""
    text = review_page(reviews(), "acme")
    for part in (
        "hubspot: findings",
        "hubspot: mapped fields",
        "contacts.email",
        "2026-03-01",
        "&lt;full&gt;",
        "is owner and backup",
        "class secret, and no scope names it",
        "contact.first_name was never written with a value",
    ):
        assert part in text, part
    assert "<full>" not in text


def test_a_field_in_use_is_no_finding_and_machines_get_all() -> None:
    """What the CRM holds, of a value that is young, is left alone."""
    (given,) = review_document(reviews())["reviews"]
    wheres = {item["where"] for item in given["report"]["findings"]}
    assert "connectors.hubspot.objects.contact.0.fields.email" not in wheres
    assert "connectors.salesforce.objects.contact.0.fields.Email" in wheres
    out = io.StringIO()
    for part in review_tables(reviews()):
        Console(file=out, width=200).print(part)
    assert "told" in out.getvalue()
    assert "wider grant" in out.getvalue()
