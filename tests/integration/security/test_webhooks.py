"""No scheme lets a bad webhook in."""

from __future__ import annotations

import pytest
from tests.integration.security.webhooks import KINDS, SIGNERS, tallies

from headwater.connectors.base.webhooks import scheme_names

pytestmark = pytest.mark.anyio


async def test_no_bad_webhook_becomes_an_event(migrated_database_url: str) -> None:
    """Forged, altered, replayed and stale, for every installed scheme: refused, or known already."""
    found = await tallies(migrated_database_url, 40)
    assert [one.scheme for one in found] == list(scheme_names())
    for one in found:
        assert one.is_right, one
        for kind in KINDS:
            assert any(answer.startswith(f"{kind}: ") for answer in one.answers)
        assert one.answers["replayed: DUPLICATE"] == 10
        assert one.answers["stale: SIGNATURE_REFUSED"] == 10


def test_every_installed_scheme_is_tried() -> None:
    """A scheme that comes without a signer here would go unproven."""
    assert set(scheme_names()) <= set(SIGNERS)
