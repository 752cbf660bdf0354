"""The part of the policy document about enrichment: which fields providers may fill, who is asked first, at what cost.

Providers bring values as records of an intelligence system, so owners and rules of the fields decide what becomes of
them. Numbers are defaults and belong here, never as literals in code.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from headwater.kernel.ids import ObjectName
from headwater.policy.account import Breaker, Limits, Window
from headwater.policy.words import FieldName, Name, Part, Seconds, SecretReference, Share, Text

Word = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
"""A provider's name of a value."""
USUAL_LIMITS: Final = Limits(window=Window(calls=10, window_s=1.0))
"""Of a provider that states none: what small plans of such services allow."""


class EnrichmentProvider(Part):
    """One service that proposes values."""

    kind: Name
    """What speaks to it, found by entry point `headwater.enrichers`: `local` needs no network, `http` asks for JSON."""
    system: Name
    """The source that its values come from: a system of the intelligence layer that nothing else sends as."""
    inputs: Annotated[dict[Word, FieldName], Field(min_length=1, max_length=16)]
    """What it is told: its name of a value to the canonical field; a list where the names are the same."""
    needs: Literal["any", "all"] = "any"
    """Whether one of the inputs is enough to ask."""
    base_url: Annotated[str, Field(max_length=255)] = ""
    credentials: SecretReference | None = None
    """Where the secret is: an environment variable that holds a JSON object with `api_key`."""
    options: dict[Name, Text] = {}
    """Settings of the kind, as `path` of http."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Longest wait for an answer; then the next provider is asked."""
    cost: Annotated[float, Field(ge=0, le=1_000_000)] = 0.0
    """Of one call, in whatever unit `budget_per_day` is in."""
    budget_per_day: Annotated[float, Field(ge=0)] | None = None
    """Cost of the calls of one UTC day, at most; None: no bound."""
    calls_per_day: Annotated[int, Field(ge=0)] | None = None
    """Calls of one UTC day, at most; None: no bound."""
    limits: Limits = USUAL_LIMITS
    breaker: Breaker = Breaker()
    refresh_days: Annotated[float, Field(gt=0, le=3_650)] | None = None
    """Age from which values are asked for again; None: only when an input changes."""
    cache_days: Annotated[float, Field(ge=0, le=3_650)] = 30.0
    """How long an answer serves every entity with the same inputs, and a miss is not asked again."""
    confidence_min: Share = 0.5
    """Values that the provider trusts less are left out."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("inputs"), list):
            return {**given, "inputs": {name: name for name in given["inputs"]}}
        return given


class EnrichmentField(Part):
    """Who fills one field."""

    providers: Annotated[tuple[Name, ...], Field(min_length=1, max_length=8)]
    """In the order in which they are asked; the next one where the one before has no value, fails or is used up."""
    fill: Literal["missing", "always"] = "missing"
    """`missing`: nobody is asked while a value stands that no provider brought."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, given: Any) -> Any:
        return {"providers": given} if isinstance(given, (list, tuple)) else given


class EnrichmentObject(Part):
    """What is enriched of one canonical object."""

    when: dict[FieldName, tuple[str, ...]] = {}
    """Only entities whose field has one of the values."""
    fields: Annotated[dict[FieldName, EnrichmentField], Field(min_length=1)]

    def used(self) -> tuple[str, ...]:
        """Return the providers that any field names, each once, in the order of the fields."""
        return tuple(dict.fromkeys(name for item in self.fields.values() for name in item.providers))


class Enrichment(Part):
    """Which values are asked of whom."""

    providers: dict[Name, EnrichmentProvider]
    objects: dict[ObjectName, EnrichmentObject]
    existing: bool = False
    """Whether entities that were there before this part are enriched too, and not only when they change."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Entities that are worked on at once."""
    retry_s: Annotated[tuple[Seconds, ...], Field(max_length=16)] = (30.0, 300.0, 1_800.0, 7_200.0)
    """Pauses after everybody failed; then the next change or refresh is waited for."""

    @property
    def systems(self) -> frozenset[str]:
        """The sources that only providers send as."""
        return frozenset(item.system for item in self.providers.values())
