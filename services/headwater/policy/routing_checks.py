"""What must agree across the parts about routing and SLAs, and with the rest of a policy. Pure.

No name that nobody knows, no pool without members, no rule that can never decide, no ring of pools.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from headwater.kernel.ids import ROUTING_SOURCE, ObjectName
from headwater.policy import places
from headwater.policy.conditions import plain_code
from headwater.policy.expressions import expression_fault
from headwater.policy.faults import Fault, nearest
from headwater.policy.objects import ObjectPolicy
from headwater.policy.routing import Condition, RoutedObject, Routing, RoutingRule, Sla, SlaTarget

if TYPE_CHECKING:
    from headwater.policy.document import PolicyDocument

_DIMENSIONS: Final = ("product", "channel", "amount")


def routing_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield what is wrong with who gets which lead, and how soon it must be looked after."""
    yield from _source_faults(document)
    routing, sla = document.routing, document.sla
    if routing is None:
        if sla is not None:
            yield Fault("sla", "sla_routing", "goes with routing: without it nobody is given anything")
        return
    yield from _object_faults(document, routing)
    yield from _people_faults(document, routing)
    yield from _pool_faults(routing)
    yield from _territory_faults(routing)
    yield from _rule_faults(document, routing)
    if routing.reassign.inactivity_s is not None and not (sla and sla.touch):
        yield Fault("routing.reassign.inactivity_s", "sla_activity", "needs to know what a touch is")
    if sla is not None:
        yield from _sla_faults(document, routing, sla)


def _source_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield where `routing` is named as an owner of a field that routing does not fill."""
    if ROUTING_SOURCE in document.systems:
        message = "is the source of the owners that routing finds: name the system differently"
        yield Fault(f"systems.{ROUTING_SOURCE}", "reserved_name", message)
    for object_name, item in document.objects.items():
        filled = document.routing.owner_of(object_name) if document.routing else None
        for place, _, names, deciding in item.units():
            if ROUTING_SOURCE in deciding.owners and filled not in names:
                path = f"objects.{object_name}.{place}.owners"
                yield Fault(path, "routed_field", f"routing fills {filled or 'no field'} of {object_name}")


def _object_faults(document: PolicyDocument, routing: Routing) -> Iterator[Fault]:
    for name, routed in routing.objects.items():
        path, known = f"routing.objects.{name}", document.objects.get(cast("ObjectName", name))
        if known is None:
            yield Fault(path, "known_object", f"{name!r} is not under objects")
            continue
        yield from _dimension_faults(path, name, routed, known)
        owner = known.fields.get(routed.owner)
        if owner is None:
            continue
        if owner.type not in {"text", "picklist"}:
            yield Fault(f"{path}.owner", "owner_type", f"{routed.owner!r} is of type {owner.type}")
        for person in routing.people:
            if owner.type == "picklist" and person not in owner.allowed:
                message = f"{person!r} is not among the values that {routed.owner!r} allows"
                yield Fault(f"{path}.owner", "owner_value", message)
        deciding = next(item for _, _, names, item in known.units() if routed.owner in names)
        if ROUTING_SOURCE not in deciding.owners:
            message = f"{ROUTING_SOURCE!r} is no owner of {routed.owner!r}: what it finds would never count"
            yield Fault(f"{path}.owner", "owner_routed", message)


def _dimension_faults(path: str, name: str, routed: RoutedObject, known: ObjectPolicy) -> Iterator[Fault]:
    """Yield fields of an object that there are not."""
    for setting in ("owner", "country", "state", "postal", *_DIMENSIONS):
        field = routed.field_of(setting)
        if field is not None and field not in known.fields:
            message = f"{field!r} is not a field of {name}"
            yield Fault(f"{path}.{setting}", "known_field", message, nearest(field, known.fields))
    for field in routed.done:
        if field not in known.fields:
            message = f"{field!r} is not a field of {name}"
            yield Fault(f"{path}.done.{field}", "known_field", message, nearest(field, known.fields))


def _people_faults(document: PolicyDocument, routing: Routing) -> Iterator[Fault]:
    for name, person in routing.people.items():
        path = f"routing.people.{name}"
        if person.hours is not None:
            yield from _unknown(f"{path}.hours", "known_hours", (person.hours,), routing.hours)
        for account in person.accounts:
            yield from _unknown(
                f"{path}.accounts.{account}", "known_account", (account,), document.connectors
            )
        for number, absence in enumerate(person.out):
            if absence.cover is not None:
                place = f"{path}.out.{number}.cover"
                yield from _unknown(place, "known_person", (absence.cover,), routing.people)
                if absence.cover == name:
                    yield Fault(place, "cover_other", "nobody covers themselves")
    yield from _nameless_faults(document, routing)
    for account, ids in _shared_ids(routing):
        path = f"routing.people.{ids[1]}.accounts.{account}"
        yield Fault(path, "one_person", f"has the id that {ids[0]} has in {account}")


def _nameless_faults(document: PolicyDocument, routing: Routing) -> Iterator[Fault]:
    """Yield people whom an account that is told of owners would not know."""
    for account, connector in document.connectors.items():
        told = [
            item.values
            for name, targets in connector.written.items()
            for target in targets
            for item in target.fields.values()
            if item.field is not None and item.field == routing.owner_of(name) and not item.expr
        ]
        if not any(account in person.accounts for person in routing.people.values()):
            continue  # it takes people by the names of the policy
        for name in routing.people:
            if any(name not in values for values in told):
                message = f"has no id in {account}, which is told of owners"
                fix = f"add `accounts: {{{account}: ID}}`"
                yield Fault(f"routing.people.{name}", "person_account", message, fix)


def _shared_ids(routing: Routing) -> Iterator[tuple[str, tuple[str, str]]]:
    taken: dict[tuple[str, str], str] = {}
    for name, person in routing.people.items():
        for account, crm_id in person.accounts.items():
            holder = taken.setdefault((account, crm_id), name)
            if holder != name:
                yield account, (holder, name)


def _pool_faults(routing: Routing) -> Iterator[Fault]:
    for name, pool in routing.pools.items():
        path = f"routing.pools.{name}"
        if not pool.members:
            yield Fault(path, "pool_members", "has no members: nobody could have a turn")
        yield from _unknown(f"{path}.members", "known_person", pool.members, routing.people)
        if len(set(pool.members)) < len(pool.members):
            yield Fault(f"{path}.members", "distinct", "the same person is named twice")
        named = [routing.people[item] for item in pool.members if item in routing.people]
        if named and pool.role is not None and all(item.role != pool.role for item in named):
            message = f"no member is {pool.role!r}: nobody could have a turn"
            yield Fault(f"{path}.role", "pool_members", message)
        elif named and not any(item.active for item in named):
            yield Fault(f"{path}.members", "pool_members", "no member is active: nobody could have a turn")
        if pool.overflow is not None:
            yield from _unknown(f"{path}.overflow", "known_pool", (pool.overflow,), routing.pools)
            if _returns(routing, name):
                yield Fault(f"{path}.overflow", "overflow_ring", f"leads back to {name}")
    yield from _unknown("routing.fallback", "known_pool", (routing.fallback,), routing.pools)


def _returns(routing: Routing, name: str) -> bool:
    """Tell whether the overflow of a pool leads back to it."""
    passed, pool = set[str](), routing.pools[name].overflow
    while pool is not None and pool not in passed:
        if pool == name:
            return True
        passed.add(pool)
        pool = routing.pools[pool].overflow if pool in routing.pools else None
    return False


def _territory_faults(routing: Routing) -> Iterator[Fault]:
    for name, territory in routing.territories.items():
        path = f"routing.territories.{name}"
        if not (territory.countries or territory.states or territory.postal):
            yield Fault(path, "territory_parts", "names no country, state or postal code")
        parts = (
            ("countries", territory.countries),
            ("states", territory.states),
            ("postal", territory.postal),
        )
        for place, countries in parts:
            for country in countries:
                if places.country_code(country) is None:
                    at = f"{path}.{place}" if place == "countries" else f"{path}.{place}.{country}"
                    yield Fault(at, "known_country", f"{country!r} is no country's name or code")
        for country, spans in territory.postal.items():
            for span in spans:
                low, dash, high = (plain_code(part) for part in span.partition("-"))
                if not low or (dash and (len(low) != len(high) or high < low)):
                    message = f"{span!r} is no span of postal codes"
                    yield Fault(f"{path}.postal.{country}", "postal_span", message)


def _rule_faults(document: PolicyDocument, routing: Routing) -> Iterator[Fault]:
    for section in ("fast_lane", "suppress", "rules"):
        taken = set[str]()
        for number, item in enumerate(getattr(routing, section)):
            path = f"routing.{section}.{number}"
            if item.name in taken:
                yield Fault(f"{path}.name", "distinct", f"{item.name!r} is the name of another one above")
            taken.add(item.name)
            yield from _condition_faults(document, routing, f"{path}.when", item.when)
            if section != "rules" and item.when.lane:
                yield Fault(f"{path}.when.lane", "lane_of_rules", "is not known yet where this is asked")
    yield from _target_faults(routing)


def _target_faults(routing: Routing) -> Iterator[Fault]:
    """Yield rules that give their leads to nobody, and those that can never decide."""
    for number, rule in enumerate(routing.rules):
        path = f"routing.rules.{number}"
        if (rule.pool is None) == (rule.person is None):
            yield Fault(path, "one_target", "names both a pool and a person" if rule.pool else "names nobody")
        if rule.pool is not None:
            yield from _unknown(f"{path}.pool", "known_pool", (rule.pool,), routing.pools)
        if rule.person is not None:
            yield from _unknown(f"{path}.person", "known_person", (rule.person,), routing.people)
        earlier = next((item for item in routing.rules[:number] if _covers(item, rule)), None)
        if earlier is not None:
            message = f"can never decide: {earlier.name!r} above holds whenever it does"
            yield Fault(path, "unreachable_rule", message)
        blocking = next((item.name for item in routing.suppress if _takes_all(item.when, rule.when)), None)
        if blocking is not None:
            message = f"can never decide: {blocking!r} suppresses every lead that it is about"
            yield Fault(path, "unreachable_rule", message)


def _condition_faults(
    document: PolicyDocument, routing: Routing, path: str, when: Condition
) -> Iterator[Fault]:
    yield from _unknown(f"{path}.territory", "known_territory", when.territory, routing.territories)
    yield from _unknown(f"{path}.source", "known_system", when.source, document.systems)
    yield from _unknown(f"{path}.objects", "routed_object", when.objects, routing.objects)
    if when.amount_min is not None and when.amount_max is not None and when.amount_min > when.amount_max:
        yield Fault(f"{path}.amount_min", "amounts", "lies above amount_max: no lead could fit")
    about = [
        (name, item) for name, item in routing.objects.items() if not when.objects or name in when.objects
    ]
    asked = {
        "country": bool(when.territory),
        "product": bool(when.product),
        "channel": bool(when.channel),
        "amount": when.amount_min is not None or when.amount_max is not None,
    }
    for dimension, wanted in asked.items():
        if wanted and about and all(item.field_of(dimension) is None for _, item in about):
            names = ", ".join(name for name, _ in about)
            message = f"asks for the {dimension}, and routing.objects says of {names} no field that holds it"
            yield Fault(path, "dimension_field", message, f"add `{dimension}: FIELD` under routing.objects")
    for field in when.fields:
        if about and not any(_has_field(document, name, field) for name, _ in about):
            message = f"{field!r} is a field of no object that this is about"
            yield Fault(f"{path}.fields.{field}", "known_field", message)
    found = expression_fault(when.expr) if when.expr else ""
    if found:
        yield Fault(f"{path}.expr", "expression", found)


def _has_field(document: PolicyDocument, object_name: str, field: str) -> bool:
    known = document.objects.get(cast("ObjectName", object_name))
    return known is not None and field in known.fields


def _covers(earlier: RoutingRule, later: RoutingRule) -> bool:
    return _takes_all(earlier.when, later.when)


def _takes_all(wide: Condition, narrow: Condition) -> bool:
    """Tell whether *wide* holds wherever *narrow* does; only what can be seen by comparing them."""
    for name in ("objects", "territory", "product", "channel", "source", "lane"):
        outer, inner = getattr(wide, name), getattr(narrow, name)
        if outer and not (inner and _words(inner) <= _words(outer)):
            return False
    for name, allowed in wide.fields.items():
        if name not in narrow.fields or not _words(narrow.fields[name]) <= _words(allowed):
            return False
    if wide.amount_min is not None and (narrow.amount_min is None or narrow.amount_min < wide.amount_min):
        return False
    if wide.amount_max is not None and (narrow.amount_max is None or narrow.amount_max > wide.amount_max):
        return False
    return not wide.expr or wide.expr == narrow.expr


def _words(given: Iterable[str]) -> set[str]:
    return {item.casefold() for item in given}


def _sla_faults(document: PolicyDocument, routing: Routing, sla: Sla) -> Iterator[Fault]:
    rules = {item.name for item in routing.rules} | {"fallback"}
    taken = set[str]()
    for number, target in enumerate(sla.targets):
        path = f"sla.targets.{number}"
        if target.name in taken:
            yield Fault(f"{path}.name", "distinct", f"{target.name!r} is the name of another one above")
        taken.add(target.name)
        yield from _unknown(f"{path}.rules", "known_rule", target.rules, rules)
        yield from _unknown(f"{path}.escalate_to", "known_person", (target.escalate_to,), routing.people)
        if (target.assignment_s, target.first_touch_s, target.first_reply_s) == (None, None, None):
            yield Fault(path, "sla_times", "sets no time")
        if any(_target_covers(item, target) for item in sla.targets[:number]):
            yield Fault(path, "unreachable_rule", "can never count: a target above fits the same leads")
        touched = target.first_touch_s is not None or target.first_reply_s is not None
        if touched and not sla.touch:
            yield Fault(path, "sla_activity", "needs to know what a touch is")
        if target.first_reply_s is not None and not sla.message:
            yield Fault(path, "sla_activity", "needs to know what a message of the lead is")
    if sla.hours is not None:
        yield from _unknown("sla.hours", "known_hours", (sla.hours,), routing.hours)
    yield from _activity_faults(document, sla)


def _target_covers(earlier: SlaTarget, later: SlaTarget) -> bool:
    rules = not earlier.rules or (bool(later.rules) and set(later.rules) <= set(earlier.rules))
    return rules and (not earlier.lane or (bool(later.lane) and set(later.lane) <= set(earlier.lane)))


def _activity_faults(document: PolicyDocument, sla: Sla) -> Iterator[Fault]:
    if not (sla.touch or sla.message):
        return
    known = document.objects.get("activity")
    if known is None:
        yield Fault("sla", "known_object", "'activity' is not under objects: no touch could be seen")
        return
    named = [("time", sla.time), *((f"touch.{name}", name) for name in sla.touch)]
    for place, name in (*named, *((f"message.{name}", name) for name in sla.message)):
        if name not in known.fields:
            message = f"{name!r} is not a field of activity"
            yield Fault(f"sla.{place}", "known_field", message, nearest(name, known.fields))


def _unknown(
    path: str, rule: str, names: Iterable[str], known: Iterable[str] | Mapping[str, Any]
) -> Iterator[Fault]:
    listed = list(known)
    for name in names:
        if name not in listed:
            yield Fault(path, rule, f"{name!r} is not known here", nearest(name, listed))
