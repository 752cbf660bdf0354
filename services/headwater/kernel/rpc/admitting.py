"""Lets calls in: who calls, whether the method is theirs, whether the tenant is. Applies `kernel.security` to gRPC.

Made once for each method. Two steps, so that a call without a credential costs no memory for its request: `admit` looks
at the call's metadata, `inspect` at each request. A stream's credential is looked at with every message, so that it
ends when its credential does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pool

from headwater.kernel.errors import PermissionDenied, Unauthenticated
from headwater.kernel.security import access
from headwater.kernel.security.denials import Denials
from headwater.kernel.security.principal import Principal, current_principal, serve_as
from headwater.kernel.security.security import Security
from headwater.kernel.security.table import rule_of

if TYPE_CHECKING:  # generic in the stubs only; what authenticates is loaded by who asks for it
    import grpc

    from headwater.kernel.security.authenticator import Authenticator

    Context = grpc.aio.ServicerContext[Any, Any]

AUTHORIZATION: Final = "authorization"
CERTIFICATE: Final = "x509_pem_cert"
"""gRPC's name of the caller's certificate in a call's security context."""
ACTOR: Final = "actor"
ACTOR_TYPE: Final = "headwater.event.v1.Actor"
_PERSON, _PROGRAM = 1, 2
"""Numbers of the wire contract's ActorType."""

Admit = Callable[[str], "Admission | None"]


def admissions(security: Security | None) -> Admit:
    """Return the maker of each method's admission; None for methods that ask for no credential."""
    if security is None or security.authenticator is None:
        return lambda _: None
    authenticator, denials = security.authenticator, security.denials
    by_certificate = security.tls is not None

    def admission(method: str) -> Admission | None:
        rule = rule_of(method)
        return (
            None if rule.public else Admission(method, authenticator, denials, by_certificate=by_certificate)
        )

    return admission


class Admission:
    """The door of one method."""

    def __init__(
        self, method: str, authenticator: Authenticator, denials: Denials, *, by_certificate: bool
    ) -> None:
        self._method = method
        self._rule = rule_of(method)
        self._authenticator = authenticator
        self._denials = denials
        self._by_certificate = by_certificate
        self._names_actor = _names_actor(method)

    async def admit(self, context: Context) -> Principal:
        """Return whom the call comes from, and make it the current principal.

        Raises:
            Unauthenticated: it brings no credential that is good.
            PermissionDenied: the method is not for it.
        """
        principal = await self._authenticate(context)
        serve_as(principal)
        access.check_scope(self._rule, principal, self._authenticator.now_s())
        return principal

    def note(self, error: Exception) -> None:
        """Count a call that was refused for who it came from."""
        if isinstance(error, Unauthenticated | PermissionDenied):
            self._denials.note(self._method, error, current_principal())

    async def _authenticate(self, context: Context) -> Principal:
        authorization = ""
        for key, value in context.invocation_metadata() or ():
            if key == AUTHORIZATION:
                authorization = value if isinstance(value, str) else ""
        certificate = b""
        if self._by_certificate and not authorization:
            found: Any = context.auth_context().get(CERTIFICATE)
            certificate = found[0] if found else b""
        return await self._authenticator.authenticate(authorization, certificate)

    def inspect(self, principal: Principal, request: Any) -> None:
        """Refuse a request for a tenant that is not the principal's; name the tenant and the actor where due.

        Raises:
            PermissionDenied: the tenant is not the credential's.
            InvalidInput: no tenant is named, and the credential is for several.
        """
        named = request.tenant_id
        tenant_id = access.tenant_for(principal, named)
        if not named:
            request.tenant_id = tenant_id
        if self._names_actor and not (access.may_name_actors(principal) and request.actor.id):
            request.actor.Clear()
            request.actor.type = _PERSON if principal.is_person else _PROGRAM
            request.actor.id = principal.subject

    def inspected(self, requests: Any, context: Context, principal: Principal) -> AsyncIterator[Any]:
        """Return the messages of a stream, each as allowed as the call itself."""
        return _Inspected(self, requests, context, principal)

    @property
    def authenticator(self) -> Authenticator:
        """Who tells whom a credential proves."""
        return self._authenticator


class _Inspected:
    """Messages of one stream."""

    def __init__(self, admission: Admission, requests: Any, context: Context, principal: Principal) -> None:
        self._admission = admission
        self._requests = aiter(requests)
        self._context = context
        self._principal = principal
        self._trusted = admission.authenticator.trust

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        authenticator = self._admission.authenticator
        if self._trusted is not authenticator.trust or self._principal.expires_s <= authenticator.now_s():
            self._principal = await self._admission.admit(self._context)
            self._trusted = authenticator.trust
        self._admission.inspect(self._principal, request)
        return request


def _names_actor(method: str) -> bool:
    """Return whether the requests of a method name an actor."""
    try:
        found = descriptor_pool.Default().FindMethodByName(method.strip("/").replace("/", "."))
    except KeyError:
        return False
    field = found.input_type.fields_by_name.get(ACTOR)
    kind = field.message_type if field is not None else None
    return kind is not None and kind.full_name == ACTOR_TYPE
