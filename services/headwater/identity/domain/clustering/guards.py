"""What keeps two groups of records apart whatever their score: vetoes and hard limits. Pure, symmetric."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from headwater.identity.domain.clustering.conflicts import (
    numbers_differ,
    organisations_fit,
    share_identity,
    sure_numbers,
)
from headwater.identity.domain.clustering.linkage import Members, Rules
from headwater.identity.domain.scoring.parts import Parts

LINKEDIN: Final = "linkedin_conflict"
OFFICIAL_ID: Final = "official_id_conflict"
GENERATION: Final = "generation_conflict"
NAME: Final = "name_conflict"
CANNOT_LINK: Final = "cannot_link"
TOO_LARGE: Final = "too_large"
TOO_MANY_VALUES: Final = "too_many_values"

Pairs = frozenset[tuple[str, str]]
NO_PAIRS: Final[Pairs] = frozenset()
_ONE_VALUE: Final = {"linkedin": LINKEDIN}
"""Kinds of identifier of which a person has one, and what two of them are called."""


class Guards:
    """The guards over one set of records.

    Args:
        parts: of every record that may be asked about.
        rules: sizes.
        apart: pairs of records that a person has told apart, smaller id first.
        shared: generic values, as they stand when asked.
    """

    def __init__(
        self,
        parts: Mapping[str, Parts],
        rules: Rules,
        apart: Pairs = NO_PAIRS,
        shared: AbstractSet[str] = frozenset(),
    ) -> None:
        self._parts, self._rules, self._apart, self._shared = parts, rules, apart, shared

    def __call__(self, left: Members, right: Members) -> str:
        """Return why two groups must stay apart, or nothing."""
        if len(left) + len(right) > self._rules.records_max:
            return TOO_LARGE
        if self._apart and self._told_apart(left, right):
            return CANNOT_LINK
        ours, theirs = self._values(left), self._values(right)
        for kind, values in ours.items():
            both = values | theirs.get(kind, set())
            if kind in _ONE_VALUE and len(both) > 1:
                return _ONE_VALUE[kind]
            if len(both) > self._rules.values_max:
                return TOO_MANY_VALUES
        if self._generations_differ(left, right):
            return GENERATION
        if self._numbers_differ(left, right):
            return OFFICIAL_ID
        return NAME if self._names_apart(left, right) else ""

    def _numbers_differ(self, left: Members, right: Members) -> bool:
        ours = [numbers for one in left if (numbers := sure_numbers(self._parts[one]))]
        if not ours:
            return False
        theirs = [numbers for one in right if (numbers := sure_numbers(self._parts[one]))]
        return any(numbers_differ(one, other) for one in ours for other in theirs)

    def _names_apart(self, left: Members, right: Members) -> bool:
        """Say whether two groups of organisations have neither a name nor an identity in common.

        Many are in one house, on one line: a hotel and its restaurants, the firms of a group.
        """
        if not self._parts[left[0]].account:
            return False
        pairs = [(self._parts[one], self._parts[other]) for one in left for other in right]
        if any(organisations_fit(*pair) for pair in pairs):
            return False
        return not any(share_identity(*pair, self._shared) for pair in pairs)

    def _told_apart(self, left: Members, right: Members) -> bool:
        return any((min(one, other), max(one, other)) in self._apart for one in left for other in right)

    def _values(self, group: Members) -> dict[str, set[str]]:
        values: dict[str, set[str]] = {}
        for record in group:
            for kind, value in self._parts[record].strong:
                values.setdefault(kind, set()).add(value)
        return values

    def _generations_differ(self, left: Members, right: Members) -> bool:
        ours = {self._parts[record].generation for record in left} - {""}
        if not ours:
            return False
        theirs = {self._parts[record].generation for record in right} - {""}
        return bool(theirs) and ours != theirs
