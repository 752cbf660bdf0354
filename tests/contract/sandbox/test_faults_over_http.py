"""Faults as a client meets them: what it sees, and what the CRM holds afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

UPSERT = "/services/data/v59.0/composite/sobjects/Contact/Headwater_Id__c"


def _rows(count: int) -> dict[str, Any]:
    rows = [
        {"attributes": {"type": "Contact"}, "Headwater_Id__c": f"k-{n}", "LastName": "X"}
        for n in range(count)
    ]
    return {"allOrNone": False, "records": rows}


def _armed(sandbox: SandboxProcess, vendor: str, account: str, **fault: object) -> httpx.Client:
    sandbox.empty(vendor, account)
    client = sandbox.session(vendor, account)
    sandbox.faults(vendor, account, fault)
    return client


def _fired(sandbox: SandboxProcess, vendor: str, account: str) -> int:
    faults = sandbox.client.get(sandbox.admin(vendor, account, "faults")).json()["faults"]
    return int(faults[0]["fired"])


def test_commit_then_reset_loses_the_answer_but_not_the_write(sandbox: SandboxProcess) -> None:
    """The connection dies without an answer, and the rows are there."""
    with _armed(sandbox, "salesforce", "f-reset", kind="commit_then_reset", count=1) as client:
        with pytest.raises(httpx.TransportError):
            client.patch(UPSERT, json=_rows(3))
        again = client.patch(UPSERT, json=_rows(3)).json()
    assert [one["created"] for one in again] == [False, False, False]
    effects = [one["effect"] for one in sandbox.arrivals("salesforce", "f-reset")]
    assert effects == ["created"] * 3 + ["unchanged"] * 3
    assert _fired(sandbox, "salesforce", "f-reset") == 1


def test_commit_then_hang_times_out_but_keeps_the_write(sandbox: SandboxProcess) -> None:
    """The client gives up waiting, and the rows are there."""
    with _armed(sandbox, "salesforce", "f-late", kind="commit_then_hang", count=1) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.patch(UPSERT, json=_rows(1), timeout=0.3)
        assert client.patch(UPSERT, json=_rows(1)).json()[0]["created"] is False


def test_hang_times_out_and_writes_nothing(sandbox: SandboxProcess) -> None:
    """The client gives up waiting, and nothing has arrived."""
    with (
        _armed(sandbox, "salesforce", "f-hang", kind="hang", count=1) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.patch(UPSERT, json=_rows(1), timeout=0.3)
    assert sandbox.arrivals("salesforce", "f-hang") == []


def test_partial_fails_some_rows_in_their_places(sandbox: SandboxProcess) -> None:
    """Rows that the fault picked are locked, the others are written; the log tells both."""
    with _armed(sandbox, "salesforce", "f-part", kind="partial", share=0.5) as client:
        told = client.patch(UPSERT, json=_rows(40)).json()
    good = [one["success"] for one in told]
    assert 0 < sum(good) < 40
    assert {one["errors"][0]["statusCode"] for one in told if not one["success"]} == {"UNABLE_TO_LOCK_ROW"}
    effects = [one["effect"] for one in sandbox.arrivals("salesforce", "f-part")]
    assert (effects.count("created"), effects.count("refused")) == (sum(good), 40 - sum(good))


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        ({"kind": "error_5xx", "status": 502}, 502, "application/json"),
        ({"kind": "html_error", "status": 503}, 503, "text/html"),
        ({"kind": "storm_429", "retry_after_s": 7}, 429, "application/json"),
        ({"kind": "token_expire_now"}, 401, "application/json"),
    ],
)
def test_refusing_faults_answer_as_the_vendor_would(
    sandbox: SandboxProcess, fault: dict[str, object], status: int, content_type: str
) -> None:
    """Status and content type are the vendor's; nothing is written; the call after it is served."""
    account = f"f-{fault['kind']}".replace("_", "-")
    sandbox.empty("hubspot", account)
    with sandbox.session("hubspot", account) as client:
        sandbox.faults("hubspot", account, {**fault, "count": 1, "path": "^POST /crm"})
        answer = client.post("/crm/v3/objects/contacts", json={"properties": {"email": "x@example.com"}})
        assert client.get("/crm/v3/objects/contacts").status_code == (401 if status == 401 else 200)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(content_type)
    assert answer.headers.get("retry-after") == (
        str(fault["retry_after_s"]) if "retry_after_s" in fault else None
    )
    assert sandbox.arrivals("hubspot", account) == []


def test_faults_of_one_account_spare_the_others(sandbox: SandboxProcess) -> None:
    """Accounts are isolated: faults, records and limits."""
    with (
        _armed(sandbox, "hubspot", "f-one", kind="error_5xx") as broken,
        sandbox.session("hubspot", "f-two") as whole,
    ):
        assert broken.get("/crm/v3/objects/contacts").status_code == 503
        assert whole.get("/crm/v3/objects/contacts").status_code == 200


def test_limits_turn_calls_away_and_are_counted(sandbox: SandboxProcess) -> None:
    """The call above the window gets HubSpot's 429, and the call log shows that no window was exceeded."""
    sandbox.empty("hubspot", "f-limit")
    sandbox.options("hubspot", "f-limit", calls_max=3, calls_window_ms=60_000)
    with sandbox.session("hubspot", "f-limit") as client:
        answers = [client.get("/crm/v3/objects/contacts") for _ in range(4)]
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[3].json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert int(answers[3].headers["retry-after"]) > 0
    calls = sandbox.client.get(sandbox.admin("hubspot", "f-limit", "calls")).json()
    assert (calls["admitted"], calls["limited"], calls["most_in_window"]["general"]) == (3, 1, 3)


def test_daily_limit_of_salesforce_is_its_403(sandbox: SandboxProcess) -> None:
    """Above the daily limit Salesforce answers 403 REQUEST_LIMIT_EXCEEDED."""
    sandbox.empty("salesforce", "f-daily")
    sandbox.options("salesforce", "f-daily", calls_daily_max=1)
    with sandbox.session("salesforce", "f-daily") as client:
        first, second = (client.get("/services/data/v59.0/limits") for _ in range(2))
    assert (first.status_code, first.headers["sforce-limit-info"]) == (200, "api-usage=1/1")
    assert (second.status_code, second.json()[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")


def test_expired_token_is_told_in_the_vendors_words(sandbox: SandboxProcess) -> None:
    """A token whose life is over gets HubSpot's EXPIRED_AUTHENTICATION and Salesforce's INVALID_SESSION_ID."""
    sandbox.options("hubspot", "f-old", token_ttl_s=0)
    sandbox.options("salesforce", "f-old", token_ttl_s=0)
    with sandbox.session("hubspot", "f-old") as client:
        assert client.get("/crm/v3/objects/contacts").json()["category"] == "EXPIRED_AUTHENTICATION"
    with sandbox.session("salesforce", "f-old") as client:
        assert client.get("/services/data/v59.0/limits").json()[0]["errorCode"] == "INVALID_SESSION_ID"
