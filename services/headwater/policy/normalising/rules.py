"""The rules by which the fields of a policy are normalised, by name. Pure.

A rule never refuses: what it cannot read it leaves as it is, and the contract judges what comes out. Every rule is
idempotent. Rules of kind `before` read what a type would refuse (`$1.2M` of a number); `after` rules work on a text
of the field's type; those that `ask_country` are told the country of the same record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from headwater.policy.normalising import amounts, companies, dates, geography, mail, names, phones, web
from headwater.policy.words import FieldType

NormaliseRule = Literal[
    "spaces",
    "person_name",
    "company",
    "company_match",
    "email",
    "plus_alias",
    "e164",
    "country_code",
    "country_name",
    "state_code",
    "state_name",
    "postal_code",
    "web_address",
    "amount",
    "date_day_first",
    "date_month_first",
]
"""Names of the rules, as a policy's `normalise` lists them."""

_TEXTS: Final[tuple[FieldType, ...]] = ("text", "picklist")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Args:
        types: of the fields that it goes with.
        read: the value, and the country's ISO code or "" where *asks_country*.
    """

    types: tuple[FieldType, ...]
    read: Callable[..., Any]
    stage: Literal["before", "after"] = "after"
    asks_country: bool = False


def _spaces(text: str) -> str:
    return " ".join(text.split())


RULES: Final[Mapping[NormaliseRule, Rule]] = {
    "spaces": Rule(_TEXTS, _spaces),
    "person_name": Rule(_TEXTS, names.person_name),
    "company": Rule(_TEXTS, companies.company),
    "company_match": Rule(_TEXTS, companies.company_match),
    "email": Rule(("email",), mail.tidy, "before"),
    "plus_alias": Rule(("email",), mail.without_alias),
    "e164": Rule(("phone",), phones.e164, asks_country=True),
    "country_code": Rule(_TEXTS, geography.country_code),
    "country_name": Rule(_TEXTS, geography.country_name),
    "state_code": Rule(_TEXTS, geography.state_code, asks_country=True),
    "state_name": Rule(_TEXTS, geography.state_name, asks_country=True),
    "postal_code": Rule(_TEXTS, geography.postal_code, asks_country=True),
    "web_address": Rule(("url",), web.web_address),
    "amount": Rule(("number", "integer"), amounts.amount, "before"),
    "date_day_first": Rule(("date",), dates.day_first, "before"),
    "date_month_first": Rule(("date",), dates.month_first, "before"),
}
assert set(RULES) == set(get_args(NormaliseRule))  # noqa: S101 - the two lists are one


@dataclass(frozen=True, slots=True)
class Steps:
    """How one field is normalised.

    Args:
        aliases: case-folded spelling to the value that stands for it; looked up before the rules of the type.
        country: ISO code where the record names none.
    """

    before: tuple[Callable[[Any], Any], ...]
    after: tuple[tuple[Callable[..., str], bool], ...]
    aliases: Mapping[str, str]
    country: str
    chars_max: int
    asks_country: bool
    """Whether the country of the record makes a difference."""

    def reader(self) -> Callable[[str, str], str]:
        """Return what brings a canonical text, told the ISO code of its country, into its one spelling.

        What would grow too long, or vanish, stays as it is.
        """
        aliases, usual, chars_max = self.aliases, self.country, self.chars_max
        if not aliases and len(self.after) == 1:
            return _alone(*self.after[0], usual, chars_max)
        after = self.after

        def read(value: str, country: str) -> str:
            text = value
            if aliases:
                text = aliases.get(" ".join(value.split()).casefold(), value)
            for rule, asks in after:
                text = rule(text, country or usual) if asks else rule(text)
            return text if text and len(text) <= chars_max else value

        return read


def _alone(rule: Callable[..., str], asks: bool, usual: str, chars_max: int) -> Callable[[str, str], str]:  # noqa: FBT001 - as steps have it
    def read(value: str, country: str) -> str:
        text = rule(value, country or usual) if asks else rule(value)
        return text if text and len(text) <= chars_max else value

    return read


def steps_of(
    rules: Sequence[NormaliseRule], aliases: Mapping[str, str], country: str, chars_max: int
) -> Steps | None:
    """Return how a field with these rules is normalised; None where it is not."""
    if not rules and not aliases:
        return None
    known = [RULES[name] for name in rules]
    return Steps(
        tuple(rule.read for rule in known if rule.stage == "before"),
        tuple((rule.read, rule.asks_country) for rule in known if rule.stage == "after"),
        {" ".join(spelling.split()).casefold(): value for spelling, value in aliases.items()},
        country,
        chars_max,
        any(rule.asks_country for rule in known),
    )
