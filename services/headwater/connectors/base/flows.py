"""OAuth 2.0 in words: URLs, forms and answers of its grants, by oauthlib; no I/O.

    refresh_token        a person agreed once (authorization code with PKCE), then refresh tokens   RFC 6749, 7636
    client_credentials   the application acts for itself                                            RFC 6749, 4.4
    jwt_bearer           the application signs for a user who was allowed beforehand                RFC 7523

Must not know a vendor: what differs is in its `OAuthPlan`.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, cast, runtime_checkable
from urllib.parse import parse_qsl, urlsplit

from jwt import PyJWTError
from oauthlib.oauth2 import (
    BackendApplicationClient,
    OAuth2Error,
    ServiceApplicationClient,
    WebApplicationClient,
)

from headwater.connectors.base.port import Account
from headwater.kernel.errors import HeadwaterError, InvalidInput

GrantKind = Literal["refresh_token", "client_credentials", "jwt_bearer"]

VERIFIER_CHARS: Final = 96
"""Length of a PKCE verifier; RFC 7636, 4.1 allows 43 to 128."""
ASSERTION_S: Final = 180.0
"""Life of a signed assertion; Salesforce takes up to three minutes."""
REQUIRED_PARTS: Final[Mapping[GrantKind, tuple[str, ...]]] = {
    "refresh_token": ("client_id", "client_secret", "refresh_token"),
    "client_credentials": ("client_id", "client_secret"),
    "jwt_bearer": ("client_id", "username", "private_key"),
}
_CLIENT_PARTS: Final = ("client_id", "client_secret")
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class AuthorizationFailed(HeadwaterError):
    """The person, or the vendor, said no; or the answer is not to the question that was asked."""

    default_reason = "AUTHORIZATION_FAILED"


@dataclass(frozen=True, slots=True)
class OAuthPlan:
    """How a vendor authorises.

    Args:
        base_url: root of the vendor's API where nothing else is said.
        authorize_base_url: where people log in, when the account is at `base_url`; elsewhere it is the account's own.
        authorize_path: page at which a person agrees.
        token_path: token endpoint below the account's base URL.
        scopes: what is asked for where nothing else is said.
        audience: of signed assertions; "" for the account's base URL.
        grants: what the vendor takes.
        needs: the scopes for one object, by its CRM name, whether it is read and whether it is written; None where the
            vendor's scopes do not go by object.
        always: needed whatever is read and written.
        within: a wide scope to those that it includes.
        harmless: granted along with others, unasked.
        client_in_header: the client names itself by HTTP Basic at the token endpoint, not in the form.
    """

    base_url: str
    authorize_base_url: str
    authorize_path: str
    token_path: str
    scopes: tuple[str, ...]
    audience: str = ""
    grants: tuple[GrantKind, ...] = ("refresh_token",)
    client_in_header: bool = False
    needs: Callable[[str, bool, bool], Iterable[str]] | None = None
    always: tuple[str, ...] = ()
    within: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    harmless: tuple[str, ...] = ()


@runtime_checkable
class Authorizing(Protocol):
    """A vendor that a person can be connected to."""

    oauth: OAuthPlan


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to a person: what was sent, to hold against the answer."""

    client_id: str
    redirect_uri: str
    state: str
    verifier: str


def new_verifier(client_id: str) -> str:
    """Return a random PKCE verifier."""
    return str(WebApplicationClient(client_id).create_code_verifier(VERIFIER_CHARS))


def authorization_url(plan: OAuthPlan, base_url: str, asked: Asked, scopes: tuple[str, ...]) -> str:
    """Return the page at which a person agrees.

    Raises: InvalidInput for a page that is neither https nor on this machine.
    """
    root = plan.authorize_base_url if base_url == plan.base_url else base_url
    client = WebApplicationClient(asked.client_id)
    url = client.prepare_request_uri(
        _secure(root + plan.authorize_path),
        redirect_uri=asked.redirect_uri,
        scope=list(scopes) or None,
        state=asked.state,
        code_challenge=client.create_code_challenge(asked.verifier, "S256"),
        code_challenge_method="S256",
    )
    return _as_it_was(str(url), root)


def code_of(callback_url: str, asked: Asked) -> str:
    """Return the code of the redirect that ends a person's visit.

    Raises: AuthorizationFailed when the person or the vendor refused, or the state is not ours.
    """
    client = WebApplicationClient(asked.client_id)
    try:
        return str(client.parse_request_uri_response(_secure(callback_url), state=asked.state)["code"])
    except OAuth2Error as error:
        words = " ".join(f"{error.error}: {error.description or 'refused'}".split())
        raise AuthorizationFailed(words[:512]) from error


def code_form(credentials: Mapping[str, str], asked: Asked, code: str) -> dict[str, str]:
    """Return the form that turns a code into tokens."""
    client = WebApplicationClient(asked.client_id)
    body = client.prepare_request_body(
        code=code,
        redirect_uri=asked.redirect_uri,
        code_verifier=asked.verifier,
        client_secret=_secret_of(credentials),
    )
    return _fields(body)


def grant_form(
    credentials: Mapping[str, str], refresh_token: str, audience: str, now: dt.datetime
) -> dict[str, str]:
    """Return the form that gets an access token by the grant that the credentials are for.

    Raises: InvalidInput for a private key that does not sign.
    """
    kind = kind_of(credentials)
    if kind == "client_credentials":
        own = BackendApplicationClient(credentials["client_id"])
        return _fields(
            own.prepare_request_body(include_client_id=True, client_secret=_secret_of(credentials))
        )
    if kind == "jwt_bearer":
        return _assertion_form(credentials, audience, now)
    client = WebApplicationClient(credentials["client_id"])
    body = client.prepare_refresh_body(
        refresh_token=refresh_token, client_id=credentials["client_id"], client_secret=_secret_of(credentials)
    )
    return _fields(body)


def by_header(form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form without the client's own parts, and the header that has them instead.

    The parts stand there as they are, as vendors' own clients send them, not form-encoded as RFC 6749, 2.3.1 has it.
    """
    named = ":".join(form.get(part, "") for part in _CLIENT_PARTS)
    rest = {name: value for name, value in form.items() if name not in _CLIENT_PARTS}
    return rest, {"Authorization": f"Basic {base64.b64encode(named.encode()).decode()}"}


def kind_of(credentials: Mapping[str, str]) -> GrantKind:
    """Return which grant the credentials are for: `grant_type` says it, refresh_token by default.

    Raises: InvalidInput.
    """
    named = credentials.get("grant_type", "refresh_token")
    if named not in REQUIRED_PARTS:
        known = ", ".join(REQUIRED_PARTS)
        raise InvalidInput(f"credentials: grant_type must be one of {known}", reason="CREDENTIALS_INCOMPLETE")
    return cast("GrantKind", named)


def required_credentials(
    account: Account, grants: tuple[GrantKind, ...] = ("refresh_token",)
) -> Mapping[str, str]:
    """Return the account's credentials.

    Raises:
        InvalidInput: a part is missing, all missing ones are named; or the vendor does not take the grant.
    """
    kind = kind_of(account.credentials)
    if kind not in grants:
        raise InvalidInput(
            f"credentials of connector {account.name!r}: the vendor takes {', '.join(grants)}, not {kind}",
            reason="CREDENTIALS_INCOMPLETE",
        )
    missing = [part for part in REQUIRED_PARTS[kind] if not account.credentials.get(part)]
    if missing:
        raise InvalidInput(
            f"credentials of connector {account.name!r} lack {', '.join(missing)}",
            reason="CREDENTIALS_INCOMPLETE",
        )
    return account.credentials


def _assertion_form(credentials: Mapping[str, str], audience: str, now: dt.datetime) -> dict[str, str]:
    issued_s = now.timestamp()
    client = ServiceApplicationClient(credentials["client_id"])
    try:
        body = client.prepare_request_body(
            private_key=credentials["private_key"],
            issuer=credentials["client_id"],
            subject=credentials["username"],
            audience=audience,
            issued_at=issued_s,
            expires_at=issued_s + ASSERTION_S,
        )
    except (ValueError, TypeError, PyJWTError) as error:
        raise InvalidInput(
            "credentials: private_key is no RSA key in PEM", reason="BAD_CREDENTIALS"
        ) from error
    return _fields(body)


def _secret_of(credentials: Mapping[str, str]) -> str | None:
    return credentials.get("client_secret") or None


def _fields(body: str) -> dict[str, str]:
    return dict(parse_qsl(body, keep_blank_values=True))


def _secure(url: str) -> str:
    """Return *url* as the library wants it: with https, which a page on this machine needs not have.

    Source: RFC 8252, 8.3: loopback redirects may use http.
    """
    parts = urlsplit(url)
    if parts.scheme == "https":
        return url
    if parts.scheme == "http" and parts.hostname in _LOOPBACK:
        return parts._replace(scheme="https").geturl()
    raise InvalidInput(f"{parts.scheme}://{parts.netloc} must be https", reason="INSECURE_TRANSPORT")


def _as_it_was(url: str, root: str) -> str:
    return urlsplit(url)._replace(scheme=urlsplit(root).scheme).geturl()
