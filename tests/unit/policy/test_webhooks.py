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


NOTICES = """\
      scheme: hubspot-v3
      notices: true
"""
ACCOUNT = """\
connectors:
  hub:
    vendor: hubspot
    system: shop
    owner: crm team
    backup: shop team
    runbook: docs/hub
    base_url: https://api.hubapi.com
    credentials: env:HUB
    limits: {window: {calls: 100, window_s: 10}}
    poll: {every_s: 300}
    objects:
      contact: [{target: contacts, external_id: headwater_id, direction: in, fields: {email: {field: email}}}]
"""


def _noticed(account: str = ACCOUNT, more: str = "") -> str:
    text = TEXT.replace("      object: contact\n      external_id: id\n", NOTICES + more, 1)
    return text + account


def test_notices_need_no_paths() -> None:
    """What the body holds is the vendor's to say."""
    webhook = load_policy(_noticed()).systems["shop"].webhook
    assert webhook is not None
    assert (webhook.notices, webhook.object, webhook.external_id) == (True, None, "")


@pytest.mark.parametrize(
    ("text", "path", "rule"),
    [
        (_noticed(more="      object: contact\n"), "systems.shop.webhook.object", "one_way"),
        (_noticed(more="      payload: data\n"), "systems.shop.webhook.payload", "one_way"),
        (_noticed(account=""), "systems.shop.webhook.notices", "readable"),
        (_noticed(ACCOUNT.replace("in,", "out,")), "systems.shop.webhook.notices", "readable"),
        (TEXT.replace("      object: contact\n      ext", "      ext", 1), "systems.shop.webhook.object", "needed"),
        (TEXT.replace("      external_id: id\n", "", 1), "systems.shop.webhook.external_id", "needed"),
    ],
)  # fmt: skip
def test_notices_and_paths_exclude_each_other(text: str, path: str, rule: str) -> None:
    """One of both is needed, and an account that can fetch what is named."""
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text)
    assert (path, rule) in {(fault.path, fault.rule) for fault in caught.value.faults}
