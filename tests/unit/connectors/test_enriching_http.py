"""Where a provider of values is called: at addresses that were checked, on this machine only where it is named."""

from __future__ import annotations

import pytest

from headwater.connectors.base import Account, CallFailed, ErrorClass
from headwater.connectors.base.enriching import EnricherAccount
from headwater.connectors.base.testing import RecordingGate
from headwater.connectors.enriching_http import KIND
from headwater.kernel.net import UrlRefused, reach_named, why_not
from headwater.kernel.net.reach import read_address

pytestmark = pytest.mark.anyio


def account(base_url: str) -> EnricherAccount:
    """Return a provider at *base_url*."""
    return EnricherAccount(Account("values", base_url, {"api_key": "k"}, timeout_s=2.0))


@pytest.mark.parametrize(
    ("base_url", "address", "may"),
    [
        ("https://api.example.com", "93.184.216.34", True),
        ("https://api.example.com", "127.0.0.1", False),
        ("https://api.example.com", "10.0.0.8", False),
        ("https://api.example.com", "169.254.169.254", False),
        ("http://127.0.0.1:8080", "127.0.0.1", True),
        ("http://localhost:8080", "::1", True),
        ("http://localhost:8080", "93.184.216.34", False),
        ("http://localhost:8080", "10.0.0.8", False),
    ],
)
def test_what_a_name_resolves_to_decides(base_url: str, address: str, may: bool) -> None:  # noqa: FBT001
    """A public name that leads inside is refused, and loopback leads nowhere else."""
    assert (why_not(read_address(address), reach_named(base_url)) == "") is may


@pytest.mark.parametrize(
    "base_url", ["http://api.example.com", "https://user@api.example.com", "https://0x7f.1"]
)
def test_a_url_that_is_never_right_is_refused_at_once(base_url: str) -> None:
    """Before any name is looked up."""
    with pytest.raises(UrlRefused):
        KIND.open(account(base_url), RecordingGate())


async def test_a_refused_address_is_an_error_of_the_account() -> None:
    """No connection is made; the provider's other answers are not waited for."""
    provider = KIND.open(account("https://10.0.0.8"), RecordingGate())
    with pytest.raises(CallFailed) as told:
        await provider.ask("contact", {"email": "a@x.example"})
    await provider.aclose()
    assert told.value.error.error_class is ErrorClass.AUTH
