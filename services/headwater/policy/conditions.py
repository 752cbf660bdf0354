"""Whether a condition of routing holds of a lead. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from headwater.policy import places
from headwater.policy.expressions import ExpressionFailed, evaluate
from headwater.policy.routing import Condition, Lane, RoutedObject, Routing, Territory


class Lead(msgspec.Struct, frozen=True):
    """What the rules look at.

    Args:
        object: canonical object.
        values: canonical field to value; None or absent where there is none.
        source: the system that brought it.
    """

    object: str
    values: Mapping[str, Any]
    source: str = ""


def holds(routing: Routing, condition: Condition, lead: Lead, lane: Lane | None = None) -> bool:
    """Tell whether all of *condition* holds of *lead*."""
    if condition.objects and lead.object not in condition.objects:
        return False
    if condition.source and lead.source not in condition.source:
        return False
    if condition.lane and lane not in condition.lane:
        return False
    read = next((item for name, item in routing.objects.items() if name == lead.object), None)
    if read is None or not fits(condition.fields, lead.values):
        return False
    return (
        _is_one_of(condition.product, _value(read, "product", lead))
        and _is_one_of(condition.channel, _value(read, "channel", lead))
        and _amount_fits(condition, _value(read, "amount", lead))
        and _lies_in(routing, condition, read, lead)
        and _says(condition.expr, lead)
    )


def fits(wanted: Mapping[str, tuple[str, ...]], values: Mapping[str, Any]) -> bool:
    """Tell whether every field has one of its wanted values."""
    return all(_is_one_of(allowed, values.get(name)) for name, allowed in wanted.items())


def _value(read: RoutedObject, dimension: str, lead: Lead) -> Any:
    name = read.field_of(dimension)
    return lead.values.get(name) if name else None


def _is_one_of(allowed: tuple[str, ...], value: Any) -> bool:
    """Tell whether a value is among those allowed, capitals aside; of a list, whether one of them is."""
    if not allowed:
        return True
    given = value if isinstance(value, (list, tuple)) else (value,)
    said = {_word(item) for item in given if item is not None}
    return not said.isdisjoint(map(str.casefold, allowed))


def _word(value: Any) -> str:
    return str(value).strip().casefold()


def _amount_fits(condition: Condition, value: Any) -> bool:
    if condition.amount_min is None and condition.amount_max is None:
        return True
    try:
        amount = float(value)
    except (TypeError, ValueError):
        return False
    above = condition.amount_min is None or amount >= condition.amount_min
    return above and (condition.amount_max is None or amount <= condition.amount_max)


def _lies_in(routing: Routing, condition: Condition, read: RoutedObject, lead: Lead) -> bool:
    if not condition.territory:
        return True
    country = places.country_code(str(_value(read, "country", lead) or ""))
    if country is None:
        return False
    state, postal = _value(read, "state", lead), _value(read, "postal", lead)
    return any(_is_in(routing.territories[name], country, state, postal) for name in condition.territory)


def _is_in(territory: Territory, country: str, state: Any, postal: Any) -> bool:
    if any(places.country_code(name) == country for name in territory.countries):
        return True
    if state is not None:
        area = places.area_code(country, str(state))
        for name, areas in territory.states.items():
            if places.country_code(name) == country and any(
                places.area_code(country, item) == area for item in areas
            ):
                return True
    if postal is None:
        return False
    code = plain_code(str(postal))
    return any(
        places.country_code(name) == country and any(_covers(item, code) for item in codes)
        for name, codes in territory.postal.items()
    )


def plain_code(text: str) -> str:
    """Return a postal code in capitals, without spaces."""
    return "".join(text.split()).upper()


def _covers(span: str, code: str) -> bool:
    """Tell whether a span of postal codes, or their beginning, has *code*."""
    low, dash, high = span.partition("-")
    low, high = plain_code(low), plain_code(high)
    if not dash:
        return code.startswith(low)
    return len(code) >= len(low) and low <= code[: len(low)] <= high


def _says(expr: str, lead: Lead) -> bool:
    if not expr:
        return True
    try:
        return (
            evaluate(expr, {name: value for name, value in lead.values.items() if value is not None}) is True
        )
    except ExpressionFailed:
        return False
