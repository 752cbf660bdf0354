"""Whether a principal may: scope, tenant, source. Pure; one function per question, each says no by raising.

PermissionDenied    SCOPE_MISSING, TENANT_DENIED, NO_RULE, SOURCE_RESERVED
InvalidInput        TENANT_REQUIRED
Unauthenticated     CREDENTIAL_EXPIRED
"""

from __future__ import annotations

from headwater.kernel.errors import FieldViolation, InvalidInput, PermissionDenied, Unauthenticated
from headwater.kernel.ids import ENTITY_PREFIX, OPERATOR_SOURCE, OWN_SOURCE, POLICY_OBJECT, ROUTING_SOURCE
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.table import Rule


def check_scope(rule: Rule, principal: Principal, now_s: float) -> None:
    """Refuse a principal that the rule does not let in."""
    if principal.expires_s <= now_s:
        raise Unauthenticated("the credential has expired", reason="CREDENTIAL_EXPIRED")
    if not rule.scopes.isdisjoint(principal.scopes):
        return
    if not rule.scopes:
        raise PermissionDenied("nobody may call this: it has no rule", reason="NO_RULE")
    needed = " or ".join(sorted(rule.scopes))
    raise PermissionDenied(
        f"the credential lacks the scope {needed}", reason="SCOPE_MISSING", metadata={"scopes": needed}
    )


def tenant_for(principal: Principal, named: str) -> str:
    """Return the tenant that a request is about: the one named, or the only one that the credential is for."""
    if not named:
        if principal.only_tenant:
            return principal.only_tenant
        broken = FieldViolation("tenant_id", "", "required", "name one of the credential's tenants")
        raise InvalidInput("the request names no tenant", violations=(broken,), reason="TENANT_REQUIRED")
    if not principal.acts_for(named):
        raise PermissionDenied(
            "the credential is not for this tenant",
            reason="TENANT_DENIED",
            metadata={"tenant_id": named[:63]},
        )
    return named


def scope_of_source(source: str, object_name: str, external_id: str) -> str:
    """Return the scope that a record takes: Headwater's own, its providers' and operators' are not for producers."""
    if external_id.startswith(ENTITY_PREFIX):
        return "log:own"
    if source == OWN_SOURCE:
        return "policy:write" if object_name == POLICY_OBJECT else "log:own"
    if source == ROUTING_SOURCE:
        return "log:own"
    return "entities:correct" if source == OPERATOR_SOURCE else "events:write"


def check_source(principal: Principal, source: str, object_name: str, external_id: str) -> None:
    """Refuse an event from a source that the principal may not speak for."""
    needed = scope_of_source(source, object_name, external_id)
    if needed not in principal.scopes:
        message = f"recording {object_name or 'events'!r} from {source!r} takes the scope {needed}"
        raise PermissionDenied(message, reason="SOURCE_RESERVED", metadata={"scopes": needed})


def may_name_actors(principal: Principal) -> bool:
    """Return whether the actor that a request names is believed; otherwise it is the principal itself."""
    return "actors:name" in principal.scopes
