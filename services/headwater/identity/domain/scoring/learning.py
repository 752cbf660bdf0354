"""Weights learned without labels, from pairs that share a strong key. Pure; chance is injected.

Owns: how m, u, rarities and the prior follow from records. Must not: look at candidates, since what
the weights select would then teach the weights (plain EM drifted from 0.86 to 0.67 F1 at 205,000
records). A pair that shares a mailbox says nothing about mailboxes, so the key's own fields are left
out, and a pair that the other fields contradict is a shared mailbox, not a person: it teaches how
often strangers share one.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from headwater.identity.domain.scoring import comparing as c
from headwater.identity.domain.scoring import priors
from headwater.identity.domain.scoring.names import LEVELS, MISSING, PART_LEVELS, SWAPPED
from headwater.identity.domain.scoring.parts import Parts
from headwater.identity.domain.scoring.scores import weigh
from headwater.identity.domain.scoring.weights import FieldWeights, Weights

Levels = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is read to learn from.

    Args:
        random_pairs: pairs of any two records, for the levels that no frequency tells.
        group_max: a strong key that more records share teaches nothing.
        strong_pairs_max: pairs that share a strong key.
        weight_of_priors: as many pairs the shipped weights count.
        strong_share: of the pairs of one thing, how many share a strong key. Source: identity research, 7.
        common_max: values of a field whose share is kept.
    """

    random_pairs: int = 100_000
    group_max: int = 12
    strong_pairs_max: int = 200_000
    weight_of_priors: float = 40.0
    strong_share: float = 0.6
    common_max: int = 5_000


@dataclass(frozen=True, slots=True)
class Learnt:
    """What records teach; pairs: those that share a strong key and are of one thing."""

    weights: Weights
    pairs: int


_BLIND: Final[Mapping[str, frozenset[str]]] = {
    "email": frozenset({c.MAIL, c.ORGANISATION, c.DOMAIN}),
    "phone": frozenset({c.PHONE}),
    "linkedin": frozenset({c.LINKEDIN}),
    "domain": frozenset({c.DOMAIN}),
}
"""Fields that pairs with a shared key of each kind do not teach."""
_KEY_FIELD: Final = {"email": c.MAIL, "phone": c.PHONE, "linkedin": c.LINKEDIN, "domain": c.DOMAIN}
_CONTRADICTED_BITS: Final = -2.0
"""A pair that shares a strong key and whose other fields say less than this is of two things."""

_COMMON_MIN: Final = 3
"""Records that have a value before its share is kept."""

StrongPair = tuple[int, int, str]


def learn(
    object_name: str,
    records: Sequence[Parts],
    chance: random.Random,
    plan: Plan = Plan(),
    *,
    version: str = "learned-1",
    shared: frozenset[str] = frozenset(),
) -> Weights:
    """Return the weights that *records* teach, resting on the shipped ones where they teach little.

    Args:
        shared: generic values, which tie nobody together.
    """
    return study(object_name, records, chance, plan, version=version, shared=shared).weights


def study(
    object_name: str,
    records: Sequence[Parts],
    chance: random.Random,
    plan: Plan = Plan(),
    *,
    version: str = "learned-1",
    shared: frozenset[str] = frozenset(),
    population: int = 0,
) -> Learnt:
    """Return what `learn` does, and from how many pairs.

    Args:
        population: of which *records* are a random sample; 0 when they are all: chance meetings are rarer among more.
    """
    population = max(population, len(records))
    start = priors.shipped(object_name, population)
    if len(records) <= 1:
        return Learnt(start, 0)
    compare = c.COMPARES[object_name]
    rarities = _rarities(object_name, records, plan)
    strong, strangers = _split(object_name, records, start, _strong_pairs(records, plan, shared), shared)
    seen: Levels = defaultdict(list)
    for one, other, kind in strong:
        _count(compare(records[one], records[other], shared), seen, blind=_BLIND.get(kind, frozenset({kind})))
    apart: Levels = defaultdict(list)
    drawn = min(plan.random_pairs, len(records) * (len(records) - 1) // 2)
    for _ in range(drawn):
        one, other = _two(chance, len(records))
        _count(compare(records[one], records[other], shared), apart, blind=frozenset())
    codes = {c.HOUSE, *(name for record in records for name in record.codes)}
    fields = _fields(start, seen, apart, rarities, codes, plan)
    weights = replace(start, version=version, fields=fields)
    pairs = len(records) * (len(records) - 1) / 2
    weights = _with_sharers(weights, strangers, pairs, len(records), population)
    tied = len({(one, other) for one, other, _ in strong})
    share = tied / plan.strong_share / pairs
    if len(strong) < plan.weight_of_priors:
        share = max(share, priors.PAIR_SHARE_OF_RECORDS / population)
    return Learnt(replace(weights, prior_bits=priors.prior_bits(min(share, 0.5))), tied)


def _strong_pairs(records: Sequence[Parts], plan: Plan, shared: frozenset[str]) -> list[StrongPair]:
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, record in enumerate(records):
        for key in record.strong:
            if key[1] not in shared:
                groups[key].append(number)
    pairs: list[StrongPair] = []
    for (kind, _), numbers in groups.items():
        if len(numbers) <= plan.group_max:
            pairs.extend((one, other, kind) for one, other in combinations(numbers, 2))
        if len(pairs) >= plan.strong_pairs_max:
            break
    return pairs


def _split(
    object_name: str,
    records: Sequence[Parts],
    start: Weights,
    pairs: Sequence[StrongPair],
    shared: frozenset[str],
) -> tuple[list[StrongPair], Counter[str]]:
    """Part pairs that share a strong key into those of one thing, and how many of two per kind of key."""
    compare = c.COMPARES[object_name]
    kept: list[StrongPair] = []
    strangers: Counter[str] = Counter()
    for one, other, kind in pairs:
        blind = _BLIND.get(kind, frozenset({kind}))
        findings = compare(records[one], records[other], shared)
        bits = sum(sum(weigh(f, start)) for f in findings if f[0] not in blind)
        if bits < _CONTRADICTED_BITS:
            strangers[kind] += 1
        else:
            kept.append((one, other, kind))
    return kept, strangers


def _count(findings: Iterable[c.Finding], into: Levels, *, blind: frozenset[str]) -> None:
    for field, level, _, _ in findings:
        if field in blind:
            continue
        levels = into[field]
        while len(levels) <= level:
            levels.append(0.0)
        levels[level] += 1


def _fields(
    start: Weights,
    seen: Levels,
    apart: Levels,
    rarities: Mapping[str, FieldWeights],
    codes: set[str],
    plan: Plan,
) -> dict[str, FieldWeights]:
    fields = dict(start.fields)
    for name in sorted({*seen, *apart} - {c.NAME, c.GIVEN_RARITY, c.FAMILY_RARITY}):
        shipped = start.fields.get(name) or start.fields[c.CODE if name in codes else c.TEXT]
        equal = rarities.get(name)
        m = _blend(seen.get(name, []), shipped.m, plan.weight_of_priors)
        u = _blend(apart.get(name, []), shipped.u, plan.weight_of_priors)
        if equal is not None:
            u = (equal.u[0], *u[1:])
        elif name in {c.MAIL, c.PHONE, c.LINKEDIN}:
            u = (shipped.u[0], *u[1:])
        fields[name] = FieldWeights(m, u, equal.common if equal else {}, equal.rare if equal else 0.0)
    fields[c.NAME] = _name(seen.get(c.NAME, []), apart.get(c.NAME, []), rarities, plan)
    for name in (c.GIVEN_RARITY, c.FAMILY_RARITY):
        if name in rarities:
            one = rarities[name]
            fields[name] = FieldWeights(one.u, one.u, one.common, one.rare)
    return fields


def _below_own_number(phone: FieldWeights) -> FieldWeights:
    """Hold a shared line's bits below those of a number of one's own: too few lines are seen to tell."""
    own, line = 0, 2
    u_min = phone.m[line] * phone.u[own] / phone.m[own]
    return replace(phone, u=(*phone.u[:line], max(phone.u[line], u_min), *phone.u[line + 1 :]))


def _blend(counts: Sequence[float], shipped: Sequence[float], weight: float) -> tuple[float, ...]:
    """Return shares: counted, and as if *weight* pairs had been seen before; one more where a level is rarer than that."""
    full = [*counts, *([0.0] * (len(shipped) - len(counts)))]
    total = sum(full)
    return tuple(_share(n, total, share, weight) for n, share in zip(full, shipped, strict=True))


def _share(seen: float, total: float, shipped: float, weight: float) -> float:
    if shipped <= 0.0:
        return seen / total if total else 0.0
    before = max(weight, 1.0 / shipped)
    return (seen + before * shipped) / (total + before)


def _name(
    seen: Sequence[float], apart: Sequence[float], rarities: Mapping[str, FieldWeights], plan: Plan
) -> FieldWeights:
    """Return the joint levels' weights: m counted jointly, u from its parts, which strangers do not share jointly."""
    given_m = _blend(_marginal(seen, 0), priors.GIVEN_M, plan.weight_of_priors)
    family_m = _blend(_marginal(seen, 1), priors.FAMILY_M, plan.weight_of_priors)
    given_u = _blend(_marginal(apart, 0), priors.GIVEN_U, plan.weight_of_priors)
    family_u = _blend(_marginal(apart, 1), priors.FAMILY_U, plan.weight_of_priors)
    if c.GIVEN_RARITY in rarities:
        given_u = (rarities[c.GIVEN_RARITY].u[0], *given_u[1:])
    if c.FAMILY_RARITY in rarities:
        family_u = (rarities[c.FAMILY_RARITY].u[0], *family_u[1:])
    independent = priors.name_grid(given_m, family_m, priors.SWAPPED_M)
    m = list(independent)
    known = [n for n in range(LEVELS) if n == SWAPPED or MISSING not in divmod(n, PART_LEVELS)]
    counts = [seen[n] if n < len(seen) else 0.0 for n in range(LEVELS)]
    total = sum(counts[n] for n in known) + plan.weight_of_priors
    for n in known:
        m[n] = (counts[n] + plan.weight_of_priors * independent[n]) / total
    return FieldWeights(tuple(m), priors.name_grid(given_u, family_u, priors.SWAPPED_U))


def _marginal(counts: Sequence[float], part: int) -> list[float]:
    levels = [0.0] * PART_LEVELS
    for level, n in enumerate(counts):
        if level != SWAPPED:
            levels[divmod(level, PART_LEVELS)[part]] += n
    levels[MISSING] = 0.0
    return levels


def _rarities(object_name: str, records: Sequence[Parts], plan: Plan) -> dict[str, FieldWeights]:
    """Return, per field, how common its values are; u is the share of pairs that are equal by chance."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        if object_name != "account":
            counts[c.GIVEN_RARITY][record.given] += 1
            counts[c.FAMILY_RARITY][record.family] += 1
        counts[c.ORGANISATION].update({record.organisation, *record.domains})
        counts[c.DOMAIN].update(record.domains)
        counts[c.PLACE][record.city] += 1
        counts[c.STREET][record.street] += 1
        counts[c.HOUSE][record.house] += 1
        counts[c.ADDRESS][f"{record.house} {record.street}" if record.street else ""] += 1
        for name, text in (*record.texts.items(), *record.codes.items()):
            counts[name][text] += 1
    return {name: found for name, values in counts.items() if (found := _rarity(values, plan)) is not None}


def _rarity(values: Counter[str], plan: Plan) -> FieldWeights | None:
    values.pop("", None)
    total = sum(values.values())
    if total < plan.weight_of_priors:
        return None
    equal = max(sum(n * n for n in values.values()) / total**2, 1e-7)
    common = {value: n / total for value, n in values.most_common(plan.common_max) if n >= _COMMON_MIN}
    return FieldWeights((), (equal,), common, 2.0 / total)


def _with_sharers(
    weights: Weights, strangers: Counter[str], pairs: float, records: int, population: int
) -> Weights:
    """Set how often strangers share a mailbox, a number, a profile: counted, and shipped as if seen before."""
    fields = dict(weights.fields)
    for kind, name in _KEY_FIELD.items():
        if name not in priors.SHARERS or name not in fields:
            continue
        one = fields[name]
        shipped = priors.SHARERS[name] * records / 2 * ((records - 1) / (population - 1))
        equal = (strangers[kind] + shipped) / pairs
        fields[name] = replace(one, u=(equal, *one.u[1:]))
    fields[c.PHONE] = _below_own_number(fields[c.PHONE])
    return replace(weights, fields=fields)


def _two(chance: random.Random, count: int) -> tuple[int, int]:
    one = int(chance.random() * count)
    other = int(chance.random() * (count - 1))
    return one, other + (other >= one)
