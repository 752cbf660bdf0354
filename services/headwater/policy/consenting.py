"""Whether somebody agrees to a purpose, by their fields, and what is not written otherwise. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headwater.policy.writing import Consent

Consents = Mapping[str, Consent]
"""Purpose to how it is asked for."""


def refusal(consent: Consent, values: Mapping[str, Any]) -> str:
    """Return why *values* do not agree to a purpose; empty when they do.

    A refusal counts whatever else was agreed to.
    """
    for name, refusing in consent.opted_out.items():
        if said(values.get(name)) in refusing:
            return f"{name} is {said(values.get(name))}"
    if not consent.granted:
        return ""
    if any(said(values.get(name)) in granting for name, granting in consent.granted.items()):
        return ""
    return f"{' and '.join(consent.granted)} {'grants' if len(consent.granted) == 1 else 'grant'} nothing"


def said(value: Any) -> str | None:
    """Return a value as a policy writes it; None where nothing is said."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def restricting(consents: Consents, object_name: str) -> Mapping[str, tuple[frozenset[str], frozenset[str]]]:
    """Return of the fields that say consent for an object the values that refuse, and those that grant."""
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    for item in consents.values():
        if item.object != object_name:
            continue
        for name, values in item.opted_out.items():
            out, granted = found.get(name, (frozenset(), frozenset()))
            found[name] = (out | set(values), granted)
        for name, values in item.granted.items():
            out, granted = found.get(name, (frozenset(), frozenset()))
            found[name] = (out, granted & set(values) if granted else frozenset(values))
    return found
