"""Lets HTTP calls in: as `kernel.rpc.admitting` does for gRPC. Translates; `kernel.security` decides."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from headwater.kernel.errors import PermissionDenied, Unauthenticated
from headwater.kernel.security import access
from headwater.kernel.security.principal import Principal, current_principal, serve_as
from headwater.kernel.security.security import Security
from headwater.kernel.security.table import rule_of_door

PEER_CERTIFICATE: Final = "peer_certificate"
"""Where the listening server leaves the caller's certificate, DER, in the state of a request."""


class Doorman:
    """Stands at every route that is not public."""

    def __init__(self, security: Security | None = None) -> None:
        self._authenticator = security.authenticator if security is not None else None
        self._denials = security.denials if security is not None else None

    async def admit(self, request: Request, route: str) -> Principal | None:
        """Return whom the call comes from, and make it the current principal; None where nobody is asked.

        Raises:
            Unauthenticated: it brings no credential that is good.
            PermissionDenied: the route is not for it.
        """
        authenticator = self._authenticator
        rule = rule_of_door(request.method, route)
        if authenticator is None or rule.public:
            return None
        certificate = request.scope.get("state", {}).get(PEER_CERTIFICATE, b"")
        principal = await authenticator.authenticate(request.headers.get("authorization", ""), certificate)
        serve_as(principal)
        access.check_scope(rule, principal, authenticator.now_s())
        return principal

    def note(self, route: str, error: Exception) -> None:
        """Count a call that was refused for who it came from."""
        if self._denials is not None and isinstance(error, Unauthenticated | PermissionDenied):
            self._denials.note(route, error, current_principal())
