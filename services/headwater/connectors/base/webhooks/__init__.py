"""Signed webhooks: the port of a signature scheme, the schemes that belong to no vendor, and their registry.

Every function here is pure: headers, raw body, secrets and time in, a verdict out. Verdicts name a rule and
nothing else, so that no secret and no body can leak through a refusal.
"""

from headwater.connectors.base.webhooks.notices import Notice, Noticing
from headwater.connectors.base.webhooks.port import (
    Delivery,
    MakeScheme,
    Rejected,
    Scheme,
    SchemeSettings,
    Verdict,
    Verified,
)
from headwater.connectors.base.webhooks.registry import load_scheme, scheme_names

__all__ = [
    "Delivery",
    "MakeScheme",
    "Notice",
    "Noticing",
    "Rejected",
    "Scheme",
    "SchemeSettings",
    "Verdict",
    "Verified",
    "load_scheme",
    "scheme_names",
]
