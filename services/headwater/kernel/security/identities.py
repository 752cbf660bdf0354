"""From a certificate that the handshake has verified to whom it proves. Pure but for the parsing of X.509.

Headwater's own certificates say it in their SPIFFE id: `spiffe://TRUST_DOMAIN/ROLES/TENANTS/NAME`, roles and tenants
separated by full stops, `ALL` for every tenant. Others are looked up in the grants, by SPIFFE id, then by DNS name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from headwater.kernel.errors import Unauthenticated
from headwater.kernel.security.grants import Grant
from headwater.kernel.security.principal import Principal
from headwater.kernel.security.scopes import known_scopes

SCHEME: Final = "spiffe"
_SEGMENTS: Final = 3


def identity_of(trust_domain: str, roles: Iterable[str], tenants: Iterable[str], name: str) -> str:
    """Return the SPIFFE id that says so."""
    return f"{SCHEME}://{trust_domain}/{'.'.join(roles)}/{'.'.join(tenants)}/{name}"


def principal_of(certificate: x509.Certificate, trust_domain: str, grants: Mapping[str, Grant]) -> Principal:
    """Return whom a certificate proves.

    Raises:
        Unauthenticated: it names nobody, or somebody to whom nothing is granted.
    """
    identities = names_of(certificate)
    if not identities:
        raise Unauthenticated("the certificate names nobody", reason="CERTIFICATE_NAMELESS")
    expires_s = certificate.not_valid_after_utc.timestamp()
    for identity in identities:
        grant = grants.get(identity) or _own_grant(identity, trust_domain)
        if grant is not None:
            return Principal(identity, "mtls", grant.tenants, grant.scopes, expires_s)
    raise Unauthenticated("nothing is granted to the certificate's identity", reason="IDENTITY_UNKNOWN")


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the SPIFFE ids of a certificate, then its DNS names."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    uris = found.get_values_for_type(x509.UniformResourceIdentifier)
    return (
        *(uri for uri in uris if uri.startswith(f"{SCHEME}://")),
        *found.get_values_for_type(x509.DNSName),
    )


def _own_grant(identity: str, trust_domain: str) -> Grant | None:
    parts = urlsplit(identity)
    segments = parts.path.split("/")[1:]
    if parts.scheme != SCHEME or parts.netloc != trust_domain or len(segments) != _SEGMENTS:
        return None
    roles, tenants, _ = segments
    return Grant(known_scopes(roles.split(".")), frozenset(tenants.split(".")))
