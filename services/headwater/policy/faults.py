"""What is wrong with a policy, where, and how to mend it. Pure.

A fault's own fix goes first; without one the rule's, from the table here. Every rule has one: a test holds that.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a policy.

    Args:
        path: where, as `objects.contact.fields.email.owners`.
        rule: name of the rule that is broken.
        message: what is wrong.
        fix: what to do about it.
        line: line of the YAML text, from 1; 0 when not known.
        column: column of that line, from 1; 0 when not known.
        file: name of the file where there are several.
    """

    path: str
    rule: str
    message: str
    fix: str = ""
    line: int = 0
    column: int = 0
    file: str = ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a fix that names the known word nearest to *word*; empty where none is near."""
    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else ""


def fix_of(rule: str) -> str:
    """Return what to do where *rule* is broken."""
    return FIXES.get(rule) or next(
        (text for start, text in _SHAPES.items() if rule.startswith(start)),
        "change the value to the form asked for",
    )


_SHAPES: Final[Mapping[str, str]] = {
    "missing": "add it",
    "extra_forbidden": "remove it, or correct its name: this part has no such setting",
    "literal_error": "use one of the values listed",
    "string_pattern_mismatch": "write it in the form shown: lower-case letters, digits and underscores for names",
    "string_too_short": "give it a text",
    "string_too_long": "make it shorter",
    "too_short": "add an element",
    "too_long": "remove elements",
    "greater_than": "use a larger number",
    "less_than": "use a smaller number",
    "model_type": "write a mapping here: `key: value` lines, indented",
    "dict_type": "write a mapping here: `key: value` lines, indented",
    "tuple_type": "write a list here, as [a, b]",
    "string_type": "write a text here; quote it when it looks like a number or a date",
    "int_": "write a whole number here",
    "float_": "write a number here",
    "bool_": "write true or false here",
}
"""What to do about shapes that pydantic refuses, by the beginning of its name for the fault."""

FIXES: Final[Mapping[str, str]] = {
    "alias_allowed": "write a value of `allowed`, or add it there",
    "amounts": "swap amount_min and amount_max",
    "allowed": "use one of the field's allowed values",
    "bounded_type": "remove min and max, or change the type to number, integer, date or datetime",
    "bounds": "swap min and max",
    "calls_or_tokens": "give the window either calls or tokens",
    "conflict_owner": "let owners and conflict say the same",
    "conflict_read": "map the field in the system's inbound part",
    "conflict_rule": "add `conflict: policy` (the field's rule decides) or `conflict: overwrite` (ours is written again)",
    "conflict_two_way": "remove conflict, or set `direction: two_way`",
    "consent_object": "map another object, or name a purpose of this one",
    "consent_rule": "set the field's `rule: most_restrictive`: what refuses has to win when records are merged",
    "consent_says": "add `opted_out: {FIELD: [VALUE, …]}`, `granted: {FIELD: [VALUE, …]}`, or both",
    "consent_unused": "name the field under consent, or choose another rule",
    "cover_other": "name somebody else, or leave cover out",
    "custom_prefix": "begin its name with the prefix of the system that owns it",
    "depth_max": "flatten the document",
    "digest": "stage the change anew: what the event carries was altered",
    "dimension_field": "say under routing.objects which field holds it",
    "distinct": "name each one once",
    "distinct_owners": "name each owner once",
    "distinct_windows": "remove the larger of the two windows",
    "email_only": "remove it, or change the type to email",
    "enrichment_cost": "say what a call costs, or use calls_per_day",
    "enrichment_cycle": "take the field that one brings out of the other's inputs",
    "enrichment_input": "take it out of inputs",
    "enrichment_layer": "name a system of `layer: intelligence`",
    "enrichment_local": "remove both, or name the kind that calls somebody, as http",
    "compared_object": "map the object at an account that is compared, or take it out of reconcile.critical",
    "enrichment_mapped": "map it in the inbound part of the provider's system",
    "enrichment_one_provider": "give each provider a system of its own",
    "enrichment_own_system": "give the provider a system of its own",
    "enrichment_owner": "add the provider's system to owners and granted of the field",
    "enrichment_secret": "take it out of inputs",
    "enrichment_unused": "name it at a field under enrichment.objects, or remove it",
    "enrichment_url": "write the provider's public address, as https://api.example.com, or one of this machine",
    "expression": "correct the expression, as `value.trim()`; https://cel.dev says how they are written",
    "expression_alone": "do in the expression what the transform does, and remove that",
    "field_or_default": "add `field: NAME`, `default: TEXT`, or both",
    "flag_alone": "name a CRM field that the mapping does not fill otherwise",
    "field_type": "name a field of that type",
    "format_type": "remove the format, or change the field's type",
    "formats": "give the first field `format: state` or `postal`, the second `format: country`",
    "granted_by_field": "grant it at the fields that it may decide",
    "granted_needless": "remove it from granted",
    "granted_owner": "add it to the owners, or remove it from granted",
    "group_decides": "remove these settings from the field, or the field from the group",
    "group_rule": "use source_priority, most_recent, first, most_complete or manual",
    "human_owner": "let owners and human name the same systems",
    "human_rule": "remove human, or set `rule: manual`",
    "known_account": "correct the name, or add the account under connectors",
    "known_country": "write the country's ISO code, as DE, or its English name",
    "known_field": "correct the name, or add the field under objects",
    "known_hours": "correct the name, or add the hours under routing.hours",
    "known_object": "correct the name, or add the object under objects",
    "known_purpose": "correct the name, or add the purpose under consent",
    "known_role": "correct the name, or add the role under roles",
    "known_provider": "correct the name, or add the provider under enrichment.providers",
    "known_person": "correct the name, or add the person under routing.people",
    "known_pool": "correct the name, or add the pool under routing.pools",
    "known_rule": "correct the name, or add the rule under routing.rules; leads without one are of rule fallback",
    "known_system": "correct the name, or add the system under systems",
    "known_territory": "correct the name, or add the territory under routing.territories",
    "lane_of_rules": "ask for the lane in routing.rules only",
    "layer_direction": "map it from, or to, a system of a layer that may",
    "layer_grant": "grant it, or remove it from owners",
    "distinct_topics": "take one of the two out",
    "listened_object": "give a mapping `direction: in` or `two_way`, or take events.pubsub out",
    "listened_vendor": "take events.pubsub out: the poll tells the changes",
    "lock_chain": "lock by a field that is decided by itself",
    "lock_field": "name a field of type boolean",
    "lock_owner": "let the owners of the lock be owners of the field as well",
    "lock_states_value": "map the field that the lock holds",
    "needed": "say it, or `notices: true` where the scheme's vendor sends its own bodies",
    "mapped_object": "add the object to the system's inbound part",
    "nobody_decides": "add an owner, or let somebody correct it",
    "normalise_country": "add `country_field: FIELD` or `default_country: DE`",
    "normalise_type": "remove the rule, or change the field's type",
    "one_group": "leave the field in one group",
    "one_person": "give each person the id that is theirs",
    "one_place": "keep it in one of the files",
    "one_account": "connect the account under a name of its own: `headwater connect VENDOR --name NAME`",
    "one_system": "leave the source with one system",
    "one_target": "add either `pool: NAME` or `person: NAME`",
    "overflow_ring": "let the last pool of the chain have no overflow: the fallback comes after it anyway",
    "owner_and_rule": "add `owners: [SYSTEM, …]`, the strongest first, and `rule: source_priority` or another",
    "owner_routed": "add routing to the owners of that field",
    "owner_type": "use a field of type text, or a picklist of the people",
    "owner_value": "add the person to the field's allowed values",
    "person_account": "add the person's id in that account",
    "picklist_values": "add `allowed: [VALUE, …]`",
    "polled_object": "add the object to the system's inbound part, or make the mapping `direction: out`",
    "pool_members": "add members, or take the pool out",
    "postal_span": "write a span of equally long ends, as 10000-19999, or how the codes begin, as SW1",
    "raw_content": "map a summary in its place, as a preview of the first words",
    "reference_field": "name a field of type reference or participants",
    "reference_object": "give a field of type reference `reference: OBJECT`, and no other field one",
    "remove_marked": "add `end_marks: {CRM_FIELD: state}`, or remove `deletes: remove`",
    "reserved_name": "choose another name",
    "routed_field": "take routing out of the owners, or name the field as owner under routing.objects",
    "routed_object": "correct the name, or add the object under routing.objects",
    "residency_outside": "add the region under residency.allowed once somebody decided so, or take the mappings out",
    "residency_unstated": "add it, with the region that its vendor or provider promises",
    "scope_merge": "say `merge: link-only` there, or let the object's fields be read and written",
    "scope_overwrite": "say `conflict: policy` there, or `write` in the scope",
    "scope_read": "take the field out of the system's inbound mapping, or add `read` to the scope",
    "scope_reference": "say `write` or `never` of the reference in the scope",
    "scope_unmapped": "map the field, or say `never`, or remove the line",
    "scope_write": "take the field out of the mapping, make that `direction: in`, or add `write` to the scope",
    "size": "split the policy, or remove aliases",
    "sla_activity": "add `touch: {FIELD: [VALUE]}`, and `message:` for first replies, under sla",
    "sla_routing": "add routing, or take sla out",
    "sla_times": "add assignment_s, first_touch_s or first_reply_s",
    "some_window": "add `window: {calls: N, window_s: SECONDS}`",
    "territory_parts": "add countries, states or postal",
    "one_way": "remove it, or remove `notices`",
    "readable": "enable an account of the system with `poll`, or map the body by paths",
    "time_and_format": "add event_time, or remove event_time_format",
    "unreachable_rule": "move it up, narrow the one above, or take it out",
    "summary_only": "give the canonical field a chars_max of 1024 or less",
    "touch_field": "give the field type text and the rule named, or name another field",
    "touch_owner": "add the system to the field's owners, or take its touch away",
    "urgent_last": "order the shares: backfill, reconcile, retry, live",
    "window_holds_a_call": "raise tokens, or lower the cost",
    "withhold_fields": "give fields with `withhold: fields`, and only then",
    "withhold_mapped": "name a field that the mapping writes, or remove it",
    "withhold_something": "add flags, or withhold the record or fields",
    "yaml": "correct the indentation, quotes or brackets there",
}
"""What to do about each rule, where the fault itself does not know better."""
