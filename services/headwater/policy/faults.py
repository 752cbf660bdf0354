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
    "bounded_type": "remove min and max, or change the type to number, integer, date or datetime",
    "bounds": "swap min and max",
    "calls_or_tokens": "give the window either calls or tokens",
    "conflict_owner": "let owners and conflict say the same",
    "conflict_read": "map the field in the system's inbound part",
    "conflict_rule": "add `conflict: policy` (the field's rule decides) or `conflict: overwrite` (ours is written again)",
    "conflict_two_way": "remove conflict, or set `direction: two_way`",
    "custom_prefix": "begin its name with the prefix of the system that owns it",
    "depth_max": "flatten the document",
    "distinct": "name each one once",
    "distinct_owners": "name each owner once",
    "distinct_windows": "remove the larger of the two windows",
    "email_only": "remove it, or change the type to email",
    "expression": "correct the expression, as `value.trim()`; https://cel.dev says how they are written",
    "expression_alone": "do in the expression what the transform does, and remove that",
    "field_or_default": "add `field: NAME`, `default: TEXT`, or both",
    "format_type": "remove the format, or change the field's type",
    "formats": "give the first field `format: state` or `postal`, the second `format: country`",
    "granted_by_field": "grant it at the fields that it may decide",
    "granted_needless": "remove it from granted",
    "granted_owner": "add it to the owners, or remove it from granted",
    "group_decides": "remove these settings from the field, or the field from the group",
    "group_rule": "use source_priority, most_recent, first, most_complete or manual",
    "human_owner": "let owners and human name the same systems",
    "human_rule": "remove human, or set `rule: manual`",
    "known_field": "correct the name, or add the field under objects",
    "known_object": "correct the name, or add the object under objects",
    "known_system": "correct the name, or add the system under systems",
    "layer_direction": "map it from, or to, a system of a layer that may",
    "layer_grant": "grant it, or remove it from owners",
    "lock_chain": "lock by a field that is decided by itself",
    "lock_field": "name a field of type boolean",
    "lock_owner": "let the owners of the lock be owners of the field as well",
    "lock_states_value": "map the field that the lock holds",
    "mapped_object": "add the object to the system's inbound part",
    "nobody_decides": "add an owner, or let somebody correct it",
    "one_group": "leave the field in one group",
    "one_place": "keep it in one of the files",
    "one_account": "connect the account under a name of its own: `headwater connect VENDOR --name NAME`",
    "one_system": "leave the source with one system",
    "owner_and_rule": "add `owners: [SYSTEM, …]`, the strongest first, and `rule: source_priority` or another",
    "picklist_values": "add `allowed: [VALUE, …]`",
    "polled_object": "add the object to the system's inbound part, or make the mapping `direction: out`",
    "reference_field": "name a field of type reference or participants",
    "reference_object": "give a field of type reference `reference: OBJECT`, and no other field one",
    "reserved_name": "choose another name",
    "size": "split the policy, or remove aliases",
    "some_window": "add `window: {calls: N, window_s: SECONDS}`",
    "time_and_format": "add event_time, or remove event_time_format",
    "urgent_last": "order the shares: backfill, reconcile, retry, live",
    "window_holds_a_call": "raise tokens, or lower the cost",
    "yaml": "correct the indentation, quotes or brackets there",
}
"""What to do about each rule, where the fault itself does not know better."""
