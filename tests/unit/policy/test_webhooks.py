"""The webhook and CloudEvents parts of a policy, and what must agree in them."""

from __future__ import annotations

import pytest

from headwater.policy.loading import PolicyRefused, load_policy

TEXT = """\
format: headwater/v1
version: "1"
systems:
  shop:
    layer: record
    owner: shop team
    backup: crm team
    runbook: docs/shop
    inbound:
      contact:
        fields: {email: email}
    webhook:
      secrets: [env:SHOP_SECRET]
      object: contact
      external_id: id
    cloud_events:
      sources: [/shop]
  other:
    layer: record
    owner: shop team
    backup: crm team
    runbook: docs/other
objects:
  contact:
    fields:
      email: {type: email, owners: [shop], rule: most_recent}
"""


def test_a_webhook_needs_little() -> None:
    """Secrets, object and external id; the rest has defaults."""
    webhook = load_policy(TEXT).systems["shop"].webhook
    assert webhook is not None
    assert (webhook.scheme, webhook.replay_window_s) == ("standard-webhooks", 300.0)


@pytest.mark.parametrize(
    ("old", "new", "path", "rule"),
    [
        ("      object: contact\n", "      object: deal\n", "systems.shop.webhook.object", "mapped_object"),
        ("[env:SHOP_SECRET]", "[env:A, env:A]", "systems.shop.webhook.secrets", "distinct"),
        (
            "      external_id: id\n",
            "      external_id: id\n      event_time_format: epoch_s\n",
            "systems.shop.webhook.event_time_format",
            "time_and_format",
        ),
        (
            "docs/other\n",
            "docs/other\n    cloud_events: {sources: [/shop]}\n",
            "systems.other.cloud_events.sources",
            "one_system",
        ),
        (
            "[/shop]\n",
            "[/shop]\n      types: {left: {object: lead}}\n",
            "systems.shop.cloud_events.types.left",
            "mapped_object",
        ),
    ],
)
def test_parts_that_disagree_are_named(old: str, new: str, path: str, rule: str) -> None:
    """Path and rule of each fault."""
    with pytest.raises(PolicyRefused) as caught:
        load_policy(TEXT.replace(old, new, 1))
    assert (path, rule) in {(fault.path, fault.rule) for fault in caught.value.faults}


@pytest.mark.parametrize("secrets", ["[whsec_abc]", "[]", "[env:lower]"])
def test_a_secret_is_named_never_written(secrets: str) -> None:
    """Only references to the environment are taken."""
    with pytest.raises(PolicyRefused):
        load_policy(TEXT.replace("[env:SHOP_SECRET]", secrets))
