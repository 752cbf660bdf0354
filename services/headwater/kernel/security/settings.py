"""What an operator may say about certificates and credentials; shared by all services, read once."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from headwater.kernel.security.calling import ChannelSecurity

TRUST_DOMAIN = "headwater.local"


class SecuritySettings(BaseModel):
    """Certificates, credentials and who is believed. All empty: loopback only, and no credential is asked for."""

    tls_cert: str = Field("", alias="HEADWATER_TLS_CERT")
    """PEM file of the certificate that this process shows, to callers and to services that it calls."""
    tls_key: str = Field("", alias="HEADWATER_TLS_KEY", repr=False)
    """PEM file of its key; must not be readable by others."""
    tls_ca: str = Field("", alias="HEADWATER_TLS_CA")
    """PEM file of the authorities that peers' certificates are checked against."""
    tls_clients: Literal["required", "none"] = Field("required", alias="HEADWATER_TLS_CLIENTS")
    """Whether gRPC callers must show a certificate of HEADWATER_TLS_CA; none: they bring tokens only."""
    trust_domain: str = Field(TRUST_DOMAIN, alias="HEADWATER_TRUST_DOMAIN")
    """Whose SPIFFE ids say role and tenant in their path, as those of `headwater certs` do."""
    grants_file: str = Field("", alias="HEADWATER_GRANTS_FILE")
    """JSON of identity -> roles, scopes, tenants, for certificates and subjects that do not say it themselves."""
    tokens_file: str = Field("", alias="HEADWATER_TOKENS_FILE")
    """File of API tokens that `headwater tokens` writes; empty: none are taken."""
    oidc_issuer: str = Field("", alias="HEADWATER_OIDC_ISSUER")
    """`iss` of the JSON web tokens to take; empty: none are taken."""
    oidc_audience: str = Field("", alias="HEADWATER_OIDC_AUDIENCE")
    """`aud` that they must have."""
    oidc_jwks: str = Field("", alias="HEADWATER_OIDC_JWKS")
    """Their keys: a file, or a URL of https (http on loopback only)."""
    token_file: str = Field("", alias="HEADWATER_TOKEN_FILE")
    """File of the bearer token with which this process calls other services, read again when it changes."""
    security_refresh_s: float = Field(1.0, ge=0.05, le=60, alias="HEADWATER_SECURITY_REFRESH_S")
    """Pause between two looks at those files: the longest life of a revoked token."""

    @property
    def calling(self) -> ChannelSecurity:
        """What this process shows to services that it calls."""
        cert, key = (self.tls_cert, self.tls_key) if self.tls_ca else ("", "")
        return ChannelSecurity(self.tls_ca, cert, key, token_file=self.token_file)
