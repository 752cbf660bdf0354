"""What must agree between enrichment and the other parts of a policy. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from headwater.policy.enrichment import Enrichment, EnrichmentObject, EnrichmentProvider
from headwater.policy.faults import Fault, nearest

if TYPE_CHECKING:
    from headwater.kernel.ids import ObjectName
    from headwater.policy.document import PolicyDocument
    from headwater.policy.objects import ObjectPolicy

ROOT: Final = "enrichment"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)"
    r"(?::[1-9][0-9]{0,4})?(?:/[A-Za-z0-9._~/%-]*)?"
)
LOCAL_KIND: Final = "local"
"""The kind that calls nobody."""


def enrichment_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield what is missing or contradictory in who is asked for which values."""
    section = document.enrichment
    if section is None:
        return
    used = {name for item in section.objects.values() for name in item.used()}
    users: dict[str, str] = {}
    for name, provider in section.providers.items():
        path = f"{ROOT}.providers.{name}"
        yield from _provider_faults(document, path, provider)
        first = users.setdefault(provider.system, name)
        if first != name:
            message = f"{provider.system!r} brings the values of {first} already"
            yield Fault(f"{path}.system", "enrichment_one_provider", message)
        if name not in used:
            yield Fault(path, "enrichment_unused", f"no field names {name!r}")
    yield from _cycle_faults(section)
    for object_name, item in section.objects.items():
        path = f"{ROOT}.objects.{object_name}"
        known = document.objects.get(object_name)
        if known is None:
            yield Fault(path, "known_object", f"{object_name!r} is not under objects")
        elif object_name == "activity":
            yield Fault(path, "layer_direction", "activities are what happened: nobody derives them")
        else:
            yield from _object_faults(document, section, path, item, known)


def _provider_faults(document: PolicyDocument, path: str, provider: EnrichmentProvider) -> Iterator[Fault]:
    # the limits' own faults are found by `checks`, with those of connectors
    system = document.systems.get(provider.system)
    if system is None:
        fix = nearest(provider.system, document.systems)
        yield Fault(f"{path}.system", "known_system", f"{provider.system!r} is not under systems", fix)
    elif system.layer != "intelligence":
        message = f"{provider.system!r} is of the {system.layer} layer; what providers derive is intelligence"
        yield Fault(f"{path}.system", "enrichment_layer", message)
    if any(item.system == provider.system for item in document.connectors.values()):
        message = f"{provider.system!r} is the system of a connector, whose records are its own"
        yield Fault(f"{path}.system", "enrichment_own_system", message)
    if provider.kind == LOCAL_KIND:
        if provider.base_url or provider.credentials:
            yield Fault(path, "enrichment_local", "calls nobody, and has base_url or credentials")
    elif fault := url_fault(provider.base_url):
        yield Fault(f"{path}.base_url", "enrichment_url", fault)
    if provider.budget_per_day is not None and not provider.cost:
        yield Fault(f"{path}.budget_per_day", "enrichment_cost", "bounds calls that cost nothing")


def url_fault(base_url: str) -> str:
    """Return why *base_url* is no place to send people's data to; empty when it is one."""
    found = _URL.fullmatch(base_url)
    if found is None:
        return "must be the web address of the provider, as https://api.example.com: no user, password, query or fragment"
    scheme, host = found["scheme"], found["host"].strip("[]").lower()
    if host in _LOOPBACK:
        return ""
    if scheme != "https":
        return "must begin with https: people's data goes there"
    return "" if _is_public(host) else "leads into a private network, not to a provider"


def _is_public(host: str) -> bool:
    if host.endswith((".local", ".internal", ".localhost")):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        # a name; numbers that some resolvers take for addresses, as 2130706433 or 0x7f.1, are none
        return not host.rpartition(".")[2][:1].isdigit()


def _object_faults(
    document: PolicyDocument, section: Enrichment, path: str, item: EnrichmentObject, known: ObjectPolicy
) -> Iterator[Fault]:
    for field_name in item.when:
        if field_name not in known.fields:
            message = f"{field_name!r} is not a field of the object"
            yield Fault(f"{path}.when", "known_field", message, nearest(field_name, known.fields))
    for provider_name in item.used():
        provider = section.providers.get(provider_name)
        for field_name in provider.inputs.values() if provider else ():
            yield from _input_faults(f"{ROOT}.providers.{provider_name}.inputs", field_name, known)
    deciding = {name: unit for _, _, names, unit in known.units() for name in names}
    for field_name, asked in item.fields.items():
        place = f"{path}.fields.{field_name}"
        if field_name not in known.fields:
            message = f"{field_name!r} is not a field of the object"
            yield Fault(place, "known_field", message, nearest(field_name, known.fields))
            continue
        if len(set(asked.providers)) < len(asked.providers):
            yield Fault(place, "distinct", "a provider is named twice")
        owners = deciding[field_name].owners
        for provider_name in asked.providers:
            yield from _asked_faults(document, section, place, provider_name, owners)


def _asked_faults(
    document: PolicyDocument, section: Enrichment, place: str, provider_name: str, owners: Collection[str]
) -> Iterator[Fault]:
    """Yield what keeps the values of a provider from ever counting in a field."""
    field_name = place.rpartition(".")[2]
    provider = section.providers.get(provider_name)
    if provider is None:
        message = f"{provider_name!r} is not under enrichment.providers"
        yield Fault(place, "known_provider", message, nearest(provider_name, section.providers))
        return
    if provider.system not in owners:
        message = f"{provider_name} is asked for it, and {provider.system} is not among its owners"
        fix = f"add {provider.system} to owners and granted of {field_name}"
        yield Fault(place, "enrichment_owner", message, fix)
    yield from _mapping_faults(document, place, provider.system, field_name)


def _cycle_faults(section: Enrichment) -> Iterator[Fault]:
    """Yield a chain of providers that feed each other: it might never come to rest."""
    for object_name, item in section.objects.items():
        feeds: dict[str, set[str]] = {}
        for field_name, asked in item.fields.items():
            for provider in asked.providers:
                told = (name for name in item.used() if name in section.providers and name != provider)
                feeds.setdefault(provider, set()).update(
                    name for name in told if field_name in section.providers[name].inputs.values()
                )
        if ring := _ring(feeds):
            message = f"{' feeds '.join(ring)}: each answer would be a reason to ask again"
            yield Fault(f"{ROOT}.objects.{object_name}", "enrichment_cycle", message)


def _ring(feeds: Mapping[str, set[str]]) -> tuple[str, ...]:
    for start in sorted(feeds):
        paths: list[tuple[str, ...]] = [(start, name) for name in sorted(feeds[start])]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            if path[-1] == start:
                return path
            if path[-1] not in seen:
                seen.add(path[-1])
                paths.extend((*path, name) for name in sorted(feeds.get(path[-1], ())))
    return ()


def _mapping_faults(document: PolicyDocument, place: str, source: str, field_name: str) -> Iterator[Fault]:
    system = document.systems.get(source)
    object_name = cast("ObjectName", place.split(".")[2])
    inbound = system.inbound.get(object_name) if system else None
    read = {reading.field for _, reading in inbound.readings()} if inbound else set()
    if system is not None and field_name not in read:
        message = f"the inbound mapping of {source} reads no {field_name}"
        fix = f"map it under systems.{source}.inbound.{object_name}.fields"
        yield Fault(place, "enrichment_mapped", message, fix)


def _input_faults(path: str, field_name: str, known: ObjectPolicy) -> Iterator[Fault]:
    policy = known.fields.get(field_name)
    if policy is None:
        message = f"{field_name!r} is not a field of the object that is enriched"
        yield Fault(path, "known_field", message, nearest(field_name, known.fields))
    elif policy.field_class == "secret":
        yield Fault(path, "enrichment_secret", f"{field_name!r} is secret: no provider may be told it")
    elif policy.type in {"reference", "participants"}:
        yield Fault(path, "enrichment_input", f"{field_name!r} names other records, which no provider knows")
