"""The sandbox's authorization servers: consent by one click, codes bound by PKCE and good once, rotated refresh tokens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from headwater.connectors.base.flows import by_header
from headwater.sandbox.consent import s256

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess

BACK: Final = "http://127.0.0.1:7480/callback"
VERIFIER: Final = "v" * 64
PLACES: Final = {
    "hubspot": ("/oauth/authorize", "/oauth/v1/token"),
    "salesforce": ("/services/oauth2/authorize", "/services/oauth2/token"),
    "pipedrive": ("/oauth/authorize", "/oauth/token"),
}


def visit(sandbox: SandboxProcess, vendor: str, answer: str = "yes", **asked: str) -> httpx.Response:
    """Open the consent page and click."""
    wanted = {"response_type": "code", "client_id": "app", "redirect_uri": BACK, "state": "st4te", **asked}
    place = f"{sandbox.url}/{vendor}/consent{PLACES[vendor][0]}"
    page = sandbox.client.get(place, params=wanted)
    links = [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]+)"', page.text)]
    chosen = next((link for link in links if link.endswith(f"consent={answer}")), None)
    return page if chosen is None else sandbox.client.get(httpx.URL(str(page.url)).join(chosen))


def came_back(response: httpx.Response) -> dict[str, str]:
    """Return what a browser was sent back with."""
    assert response.status_code == 302
    assert response.headers["location"].startswith(BACK)
    return {
        name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()
    }


def exchange(sandbox: SandboxProcess, vendor: str, **form: str) -> httpx.Response:
    """Ask the token endpoint."""
    own = {"client_id": "app", "client_secret": "sandbox-secret", "redirect_uri": BACK}
    sent, named = {**own, **form}, dict[str, str]()
    if vendor == "pipedrive":  # takes the client's name and secret in the header only
        sent, named = by_header(sent)
    return sandbox.client.post(f"{sandbox.url}/{vendor}/consent{PLACES[vendor][1]}", data=sent, headers=named)


def code_grant(code: str, verifier: str = VERIFIER) -> dict[str, str]:
    """Return the form of a code."""
    return {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}


@pytest.mark.parametrize("vendor", PLACES)
def test_one_click_gives_a_code_that_is_good_once_for_who_asked(sandbox: SandboxProcess, vendor: str) -> None:
    """With the right verifier it gives tokens that call; a second time it gives nothing."""
    challenge = {"code_challenge": s256(VERIFIER), "code_challenge_method": "S256"}
    told = came_back(visit(sandbox, vendor, **challenge))
    assert told["state"] == "st4te"
    given = exchange(sandbox, vendor, **code_grant(told["code"])).raise_for_status().json()
    refreshed = exchange(sandbox, vendor, grant_type="refresh_token", refresh_token=given["refresh_token"])
    assert refreshed.status_code == 200
    assert exchange(sandbox, vendor, **code_grant(told["code"])).status_code == 400


@pytest.mark.parametrize("vendor", PLACES)
def test_a_stolen_code_is_worth_nothing(sandbox: SandboxProcess, vendor: str) -> None:
    """Without the verifier, or for another redirect; and it is spent by the try."""
    challenge = {"code_challenge": s256(VERIFIER), "code_challenge_method": "S256"}
    for stolen in (
        {"code_verifier": "w" * 64},
        {"code_verifier": ""},
        {"redirect_uri": "https://evil.example"},
    ):
        code = came_back(visit(sandbox, vendor, **challenge))["code"]
        assert exchange(sandbox, vendor, **{**code_grant(code), **stolen}).status_code == 400
        assert exchange(sandbox, vendor, **code_grant(code)).status_code == 400


@pytest.mark.parametrize("vendor", PLACES)
def test_a_refusal_goes_back_and_a_foreign_redirect_goes_nowhere(
    sandbox: SandboxProcess, vendor: str
) -> None:
    """A person may deny; an address without TLS elsewhere is never redirected to."""
    assert came_back(visit(sandbox, vendor, "no"))["error"] == "access_denied"
    assert visit(sandbox, vendor, redirect_uri="http://evil.example/cb").status_code == 400
    assert came_back(visit(sandbox, vendor, response_type="token"))["error"] == "unsupported_response_type"


@pytest.mark.parametrize("vendor", PLACES)
def test_rotated_refresh_tokens_are_good_once(sandbox: SandboxProcess, vendor: str) -> None:
    """As vendors that rotate them do: a lost one locks the account out."""
    first = "sandbox-refresh-consent"
    assert exchange(sandbox, vendor, grant_type="refresh_token", refresh_token=first).status_code == 200
    sandbox.options(vendor, "consent", rotate_refresh_tokens=True)
    second = exchange(sandbox, vendor, grant_type="refresh_token", refresh_token=first).json()[
        "refresh_token"
    ]
    assert exchange(sandbox, vendor, grant_type="refresh_token", refresh_token=first).status_code == 400
    third = exchange(sandbox, vendor, grant_type="refresh_token", refresh_token=second)
    assert third.json()["refresh_token"] not in {first, second}
