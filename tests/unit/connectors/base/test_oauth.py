"""Token refresh: single flight, early, rotated, and refused for good."""

from __future__ import annotations

import anyio
import httpx
import pytest
from tests.unit.connectors.scripted import CONTACTS, Script, an_account

from headwater.connectors.base import CallFailed, ErrorClass, Vendor, VendorError
from headwater.connectors.base.flows import required_credentials
from headwater.connectors.base.granting import Grant
from headwater.connectors.base.http import Answer
from headwater.connectors.base.oauth import TokenSource, read_grant
from headwater.connectors.hubspot import VENDOR as HUBSPOT
from headwater.connectors.hubspot.client import HubSpotVendor
from headwater.connectors.salesforce import VENDOR as SALESFORCE
from headwater.kernel.errors import InvalidInput

pytestmark = pytest.mark.anyio


class Fetcher:
    """A token endpoint: counts, rotates, and can be told to refuse."""

    def __init__(self, life_s: float | None = None) -> None:
        self.seen: list[str] = []
        self.refuses = False
        self.life_s = life_s

    async def __call__(self, refresh_token: str) -> Grant:
        """Give a token after letting others run."""
        self.seen.append(refresh_token)
        await anyio.lowlevel.checkpoint()
        if self.refuses:
            raise CallFailed(VendorError(ErrorClass.AUTH, "invalid_grant", "gone"))
        number = len(self.seen)
        return Grant(f"access-{number}", self.life_s, refresh_token=f"refresh-{number}")


async def test_renew_refreshes_once_when_many_are_refused_together() -> None:
    """N concurrent refusals of one token cost one refresh, and all get the new token."""
    fetch = Fetcher()
    tokens = TokenSource(fetch, "refresh-0")
    spent = (await tokens.current()).access_token
    got: list[str] = []

    async def refused() -> None:
        got.append((await tokens.renew(spent)).access_token)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(refused)
    assert (got, len(fetch.seen)) == (["access-2"] * 20, 2)


async def test_refused_refresh_is_shared_by_those_who_waited() -> None:
    """A grant that is gone is asked for once, not once per waiter; a later caller asks again."""
    fetch = Fetcher()
    fetch.refuses = True
    tokens = TokenSource(fetch, "refresh-0")
    classes: list[ErrorClass] = []

    async def ask() -> None:
        with pytest.raises(CallFailed) as failed:
            await tokens.current()
        classes.append(failed.value.error.error_class)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    assert (classes, len(fetch.seen)) == ([ErrorClass.AUTH] * 5, 1)
    fetch.refuses = False
    assert (await tokens.current()).access_token == "access-2"


async def test_current_rotates_refresh_tokens_before_expiry() -> None:
    """A token is replaced a minute before its end, with the refresh token given last."""
    fetch = Fetcher(life_s=1800.0)
    now_s = [0.0]
    tokens = TokenSource(fetch, "refresh-0", loop_time=lambda: now_s[0])
    await tokens.current()
    now_s[0] = 1739.0
    await tokens.current()
    assert fetch.seen == ["refresh-0"]
    now_s[0] = 1741.0
    await tokens.current()
    assert fetch.seen == ["refresh-0", "refresh-1"]


async def test_refresh_survives_cancellation_of_its_caller() -> None:
    """A rotated refresh token is kept although the call that wanted it was cancelled."""
    fetch = Fetcher()
    tokens = TokenSource(fetch, "refresh-0")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await tokens._refresh()  # noqa: SLF001 - the shielded step itself
    await tokens.renew("access-1")
    assert fetch.seen == ["refresh-0", "refresh-1"]


async def test_connector_refreshes_once_when_concurrent_calls_get_401() -> None:
    """Through the whole connector: five 401s at once, one refresh, five resends."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] == "Bearer token-1":
            return httpx.Response(401, json={"category": "EXPIRED_AUTHENTICATION", "message": "expired"})
        return httpx.Response(200, json={"results": []})

    script = Script(answer)
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(connector.look_up, CONTACTS, ["e-1"])
    assert script.tokens == 2
    assert script.gate.endpoint_classes().count("auth") == 2
    await connector.aclose()


async def test_connector_reports_auth_when_the_new_token_is_refused_too() -> None:
    """A second 401 is not answered by a third try."""
    script = Script(lambda _request: httpx.Response(401, json={"message": "no"}))
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    with pytest.raises(CallFailed) as failed:
        await connector.look_up(CONTACTS, ["e-1"])
    assert (failed.value.error.error_class, len(script.requests)) == (ErrorClass.AUTH, 2)


async def test_a_new_token_that_is_refused_is_not_refreshed_again_and_again() -> None:
    """Ten calls, at once and one by one, to an account that refuses every token: two tokens, all AUTH."""
    script = Script(lambda _request: httpx.Response(401, json={"message": "no"}))
    connector = HubSpotVendor().open(an_account(), script.gate, transport=script)
    classes: list[ErrorClass] = []

    async def ask() -> None:
        with pytest.raises(CallFailed) as failed:
            await connector.look_up(CONTACTS, ["e-1"])
        classes.append(failed.value.error.error_class)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)
    for _ in range(5):
        await ask()
    assert (script.tokens, classes) == (2, [ErrorClass.AUTH] * 10)
    assert script.gate.endpoint_classes().count("auth") == 2


async def test_a_condemned_token_is_replaced_after_a_while() -> None:
    """A minute later one refresh is allowed again: the grant may have been renewed."""
    fetch, now_s = Fetcher(), [0.0]
    tokens = TokenSource(fetch, "refresh-0", loop_time=lambda: now_s[0])
    first = (await tokens.current()).access_token
    second = (await tokens.renew(first)).access_token
    tokens.condemn(second)
    for now_s[0] in (0.0, 30.0, 59.9):
        tokens.condemn(second)
        with pytest.raises(CallFailed) as failed:
            await tokens.renew(second)
        assert failed.value.error.error_class is ErrorClass.AUTH
    assert len(fetch.seen) == 2
    now_s[0] = 60.0
    assert (await tokens.renew(second)).access_token == "access-3"


async def test_a_refresh_that_never_ends_is_a_timeout() -> None:
    """It is bounded, and a person is not sent to renew a grant that nobody refused."""

    async def fetch(_refresh_token: str) -> Grant:
        raise TimeoutError

    with pytest.raises(CallFailed) as failed:
        await TokenSource(fetch, "refresh-0").current()
    assert failed.value.error.error_class is ErrorClass.TIMEOUT


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, b'{"error":"invalid_grant","error_description":"expired"}', ErrorClass.AUTH),
        (400, b'{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid"}', ErrorClass.AUTH),
        (200, b"<html>login</html>", ErrorClass.AUTH),
        (429, b"{}", ErrorClass.RATE_LIMIT),
        (503, b"<html>", ErrorClass.SERVER),
    ],
)
def test_read_grant_tells_refusal_from_trouble(status: int, body: bytes, expected: ErrorClass) -> None:
    """Only a refused grant needs a person; a busy or broken endpoint does not."""
    with pytest.raises(CallFailed) as failed:
        read_grant(Answer(status, {}, body))
    assert failed.value.error.error_class is expected


@pytest.mark.parametrize("vendor", [HUBSPOT, SALESFORCE])
def test_open_names_every_missing_credential(vendor: Vendor) -> None:
    """Both vendors say which parts are missing, all at once."""
    with pytest.raises(InvalidInput, match="client_secret, refresh_token"):
        required_credentials(an_account(client_secret="", refresh_token=""))
    with pytest.raises(InvalidInput, match="client_id"):
        vendor.open(an_account(client_id=""), Script(lambda _r: httpx.Response(200)).gate)
