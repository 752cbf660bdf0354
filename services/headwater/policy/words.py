"""The words of the policy document: names, ranges and choices that its parts are made of."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
FIELD_PATTERN: Final = r"^[a-z][a-z0-9_]{0,62}$"
FieldName = Annotated[str, Field(pattern=FIELD_PATTERN)]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
Share = Annotated[float, Field(ge=0, le=1)]

EXPRESSION_CHARS_MAX: Final = 512
CLOCK_SKEW_MAX_S: Final = 3600.0
"""The furthest that any system's event times may lie ahead of our clock: a log partition is ready that far."""

SecretReference = Annotated[str, Field(pattern=r"^env:[A-Z][A-Z0-9_]*$")]
"""Where a secret is: the name of an environment variable."""
CredentialsReference = Annotated[str, Field(pattern=r"^(env:[A-Z][A-Z0-9_]*|vault:[a-z][a-z0-9_.-]{0,62})$")]
"""Where an account's secret is: an environment variable with a JSON object, or a connection of the vault."""
WebhookSecretReference = CredentialsReference
"""Where a webhook's secret is: an environment variable with the text, or a connection of the vault, its field `secret`."""
BodyPath = Annotated[str, Field(max_length=255)]


def _a_network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError:
        raise ValueError("must be a network as 10.1.0.0/16") from None
    return text


Network = Annotated[str, AfterValidator(_a_network)]
"""Addresses by their common beginning, as 10.1.0.0/16."""

Layer = Literal["record", "engagement", "intelligence"]
FieldType = Literal[
    "text",
    "email",
    "phone",
    "url",
    "date",
    "datetime",
    "number",
    "integer",
    "boolean",
    "picklist",
    "reference",
    "participants",
]
EndpointClass = Literal["write", "read", "search", "auth"]
"""Classes of a vendor's endpoints that limits may tell apart; as the connectors' port has them."""
FieldFormat = Literal["e164", "postal", "state", "country"]
SurvivorshipRule = Literal[
    "source_priority",
    "most_recent",
    "first",
    "longest",
    "most_complete",
    "max",
    "min",
    "union",
    "manual",
    "most_restrictive",
]
FieldClass = Literal["public", "internal", "personal", "secret"]
RetryClass = Literal[
    "auth",
    "permission",
    "rate_limit",
    "quota",
    "timeout",
    "network",
    "in_doubt",
    "partial",
    "server",
    "format",
    "validation",
    "conflict",
    "claimed",
    "not_found",
    "reference",
    "held",
]
"""Classes of errors of connectors, by the kit's names."""
Conflict = Literal["policy", "overwrite"]
Overriders = Annotated[tuple[Text, ...], Field(max_length=32)]
Direction = Literal["out", "in", "two_way"]
TransformName = Literal["text", "iso_date", "iso_datetime", "epoch_ms", "upper", "lower", "integer", "join"]


class Part(BaseModel):
    """A part of the document: frozen, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
