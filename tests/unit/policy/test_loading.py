"""Policies are refused with every fault and its line, before they can be applied."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.unit.sync.tenant import POLICY

from headwater.policy.loading import FAULTS_MAX, PolicyRefused, load_policy, policy_digest
from headwater.policy.systems import InboundField

LINES = POLICY.splitlines()


def line_of(text: str) -> int:
    """Return the number of the only line that holds *text*."""
    (number,) = [number for number, line in enumerate(LINES, start=1) if text in line]
    return number


def faults(changed: str) -> list[tuple[str, str, int]]:
    """Return path, rule and line of every fault."""
    with pytest.raises(PolicyRefused) as caught:
        load_policy(changed)
    assert len(caught.value.violations) == len(caught.value.faults)
    return [(item.path, item.rule, item.line) for item in caught.value.faults]


WINDOW = "{window: {calls: 100, window_s: 20}, daily_calls: 15000}"
CASES = [
    (
        "owners: [crm, site], rule: longest", "owners: [crm, nobody], rule: longest",
        "objects.contact.fields.title.owners", "known_system",
    ),
    ("allowed: [free, pro], ", "", "objects.contact.fields.plan.allowed", "picklist_values"),
    ("reference: account, ", "", "objects.contact.fields.account.reference", "reference_object"),
    ("require_any: [[email, last_name]]", "require_any: [[fax]]", "objects.contact.require_any", "known_field"),
    ("people: people", "people: crowd", "systems.mail.inbound.activity.fields.people", "known_field"),
    ("Title: {field: title, transform", "Title: {field: rank, transform", "connectors.salesforce.objects.contact.0.fields.Title", "known_field"),
    ("LastName: {field: last_name, default: unknown}", "LastName: {}", "connectors.salesforce.objects.contact.0.fields.LastName", "field_or_default"),
    ("AccountId: account", "AccountId: title", "connectors.salesforce.objects.contact.0.references.AccountId", "reference_field"),
    ("when: {plan: [pro]}", "when: {rank: [pro]}", "connectors.hubspot.objects.contact.0.when", "known_field"),
    ("    system: salesforce", "    system: site", "connectors.salesforce.system", "layer_direction"),
    ("    system: salesforce", "    system: nobody", "connectors.salesforce.system", "known_system"),
    (WINDOW, "{daily_calls: 15000}", "connectors.salesforce.limits", "some_window"),
    (WINDOW, "{window: {calls: 1, tokens: 1, window_s: 1}}", "connectors.salesforce.limits.window", "calls_or_tokens"),
    (WINDOW, "{window: {tokens: 9, window_s: 1}, costs: {write: 10}}", "connectors.salesforce.limits.window", "window_holds_a_call"),
    (WINDOW, "{windows: [{calls: 1, window_s: 1}, {calls: 2, window_s: 1}]}", "connectors.salesforce.limits", "distinct_windows"),
    (WINDOW, "{window: {calls: 1, window_s: 1}, quota_shares: {backfill: 0.8}}", "connectors.salesforce.limits.quota_shares", "urgent_last"),
    ("rule: longest", "rule: guess", "objects.contact.fields.title.rule", "literal_error"),
    ("participants: create", "particpants: create", "systems.mail.particpants", "extra_forbidden"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "rule"), CASES)
def test_a_fault_is_told_with_its_line(old: str, new: str, path: str, rule: str) -> None:
    """Path, rule and the line of the text, for shapes and for what must agree across parts."""
    assert faults(POLICY.replace(old, new)) == [(path, rule, line_of(old))]


def test_all_faults_are_told_at_once() -> None:
    """An author mends a policy in one go."""
    found = faults(
        POLICY.replace("AccountId: account", "AccountId: title").replace("when: {plan", "when: {rank")
    )
    assert [rule for _, rule, _ in found] == ["known_field", "reference_field"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a: [1", "yaml"),
        ("a: 1\na: 2", "yaml"),
        ("", "model_type"),
        ("- 1", "model_type"),
        ("5", "model_type"),
    ],
)
def test_what_is_no_policy_is_refused(text: str, rule: str) -> None:
    """Broken YAML, a name given twice and other shapes."""
    assert faults(text)[0][1] == rule


def test_a_good_policy_is_loaded_with_its_defaults() -> None:
    """And read back from its own JSON as the same document."""
    document = load_policy(POLICY)
    assert (document.version, document.breaker.failures) == ("7", 5)
    assert type(document).model_validate(document.as_json()) == document


def test_the_digest_follows_the_text() -> None:
    """Any change of the text is another policy."""
    assert len(policy_digest(POLICY)) == 16
    assert policy_digest(POLICY) != policy_digest(POLICY + " ")


@pytest.mark.parametrize(
    "text",
    [
        "x: \x07",
        "x: !!timestamp 2026-99-99",
        "x: !!int abc",
        "x: " + "[" * 3_000,
        "- " * 3_000,
        "\n".join(" " * number + "a:" for number in range(600)),
        "a: &a [*a]",
        "a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
        + "\n".join(f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 9)}]" for n in range(9)),
    ],
)
def test_a_text_that_would_break_its_reader_is_refused(text: str) -> None:
    """Bad characters and tags, deep nesting, aliases without end: all refused at once, none hangs or crashes."""
    with pytest.raises(PolicyRefused):
        load_policy(text)


def test_faults_are_told_up_to_a_bound() -> None:
    """A text with hundreds of faults is refused with the first of them."""
    with pytest.raises(PolicyRefused) as refused:
        load_policy("\n".join(f"k{number}: 1" for number in range(400)))
    assert len(refused.value.faults) == FAULTS_MAX


@pytest.mark.parametrize("date_format", ["%d%d", "%", "%Q"])
def test_a_date_format_that_cannot_be_read_is_refused(date_format: str) -> None:
    """Strptime would fail with other errors than ValueError, on every event."""
    with pytest.raises(ValidationError):
        InboundField(field="born", date_format=date_format)
    assert InboundField(field="born", date_format="%d-%m-%y").date_format == "%d-%m-%y"
