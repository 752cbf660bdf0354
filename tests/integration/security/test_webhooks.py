"""No scheme lets a bad webhook in."""

from __future__ import annotations

import pytest
from tests.integration.security.webhooks import SIGNERS, UNSIGNED, kinds_of, tallies

from headwater.connectors.base.webhooks import scheme_names

pytestmark = pytest.mark.anyio


async def test_no_bad_webhook_becomes_an_event(migrated_database_url: str) -> None:
    """Forged, altered, replayed and stale, for every installed scheme: refused, or known already."""
    found = await tallies(migrated_database_url, 40)
    assert [one.scheme for one in found] == list(scheme_names())
    for one in found:
        assert one.is_right, one
        for kind in kinds_of(one.scheme):
            assert any(answer.startswith(f"{kind}: ") for answer in one.answers)
        each = 40 // len(kinds_of(one.scheme))
        assert one.answers["replayed: DUPLICATE"] == each
        assert one.scheme in UNSIGNED or one.answers["stale: SIGNATURE_REFUSED"] == each


def test_every_installed_scheme_is_tried() -> None:
    """A scheme that comes without a signer here would go unproven."""
    assert set(scheme_names()) <= set(SIGNERS)
