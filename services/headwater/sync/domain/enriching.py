"""Which provider is asked next about an entity, and what its answers come to. Pure.

An entity's enrichment is level-triggered: whatever changed, the fields that lack a value are looked at as they stand
now. A provider whose inputs are what they were at its last answer is not asked again before its values are to be
refreshed; so the change that an answer makes ends by itself. What a provider has brought is never among its own inputs.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from headwater.kernel.ids import ENTITY_PREFIX, ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.enrichment import Enrichment, EnrichmentProvider
from headwater.policy.inbound import canonicalise
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.polling import Change

Outcome = Literal["hit", "miss", "timeout", "limited", "budget", "open", "failed", "refused"]
"""How asking ended. `limited`: no room within the provider's limits; `open`: its breaker is; `refused`: the provider
does not take our call (credentials, form), so a person has to act."""
ANSWERS: Final[frozenset[str]] = frozenset({"hit", "miss"})
"""Outcomes that say what the provider knows; all others are tried again."""
NOTE: Final = "headwater_enrichment"
"""Name in the payload of what is kept about an answer beside its values: no inbound mapping reads it."""
_canonical = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Value:
    """A proposed value.

    Args:
        confidence: 0..1, as the provider puts it.
    """

    value: Any
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Told:
    """What one provider last said of an entity, or how asking it ended.

    Args:
        digest: of the inputs of which it was told when it said the values.
        fields: canonical fields that it has a value for.
        words: its own names of the values that were recorded.
        reason: in words, where it is no answer; or what was left out of one.
    """

    outcome: Outcome
    digest: str
    time: dt.datetime
    fields: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_answer(self) -> bool:
        """Whether it says what the provider knows."""
        return self.outcome in ANSWERS


@dataclass(frozen=True, slots=True)
class Task:
    """An entity as it stands, with what was asked of it before.

    Args:
        version: the entity's.
        wanted_time: when it last changed, by the database's clock.
        tries: rounds in a row in which some field got no answer.
        forced: an operator wants everybody asked again.
    """

    tenant_id: str
    entity_id: uuid.UUID
    object: ObjectName
    active: bool
    version: int
    values: Mapping[str, Chosen]
    wanted_time: dt.datetime
    told: Mapping[str, Told] = field(default_factory=dict)
    tries: int = 0
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """What a provider would be asked.

    Args:
        digest: names provider, object and inputs.
    """

    inputs: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is open about an entity.

    Args:
        fields: those that providers may fill, with the providers in their order.
        questions: of the providers that can be asked.
        fresh: providers that need not be asked again.
    """

    fields: Mapping[str, tuple[str, ...]]
    questions: Mapping[str, Question]
    fresh: Mapping[str, Told]


NOTHING: Final = Plan({}, {}, {})


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer, as it is kept for whoever asks the same.

    Args:
        values: by the provider's names; empty: it knows nothing.
        reference: the provider's own name of the answer.
    """

    digest: str
    time: dt.datetime
    values: Mapping[str, Value]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a round leaves an entity.

    Args:
        told: by provider, to be kept.
        due_time: when it is looked at next unless it changes; None: not before that.
    """

    told: Mapping[str, Told]
    tries: int
    due_time: dt.datetime | None


def concerns(section: Enrichment, object_name: str, changed: Iterable[str]) -> bool:
    """Tell whether a change of these fields is a reason to look at an entity of *object_name*."""
    item = section.objects.get(object_name)  # type: ignore[call-overload]
    if item is None:
        return False
    watched = {*item.fields, *item.when}
    for name in item.used():
        watched.update(section.providers[name].inputs.values())
    return not watched.isdisjoint(changed)


def plan(section: Enrichment, task: Task, now: dt.datetime) -> Plan:
    """Return what is open about an entity; nothing where it has ended or a condition leaves it out."""
    item = section.objects.get(task.object)
    if item is None or not task.active:
        return NOTHING
    for name, allowed in item.when.items():
        chosen = task.values.get(name)
        if chosen is None or str(chosen.value) not in allowed:
            return NOTHING
    systems = section.systems
    fields = {
        name: asked.providers
        for name, asked in item.fields.items()
        if asked.fill == "always" or _is_open(task.values.get(name), systems)
    }
    used = dict.fromkeys(name for providers in fields.values() for name in providers)
    found = {name: question_of(name, section.providers[name], task) for name in used}
    questions = {name: question for name, question in found.items() if question is not None}
    fresh = {
        name: told
        for name, told in task.told.items()
        if not task.forced
        and name in questions
        and told.is_answer
        and told.digest == questions[name].digest
        and not _is_old(told, section.providers[name], now)
    }
    return Plan(fields, questions, fresh)


def _is_open(chosen: Chosen | None, systems: frozenset[str]) -> bool:
    return chosen is None or chosen.value is None or chosen.source in systems


def _is_old(told: Told, provider: EnrichmentProvider, now: dt.datetime) -> bool:
    return provider.refresh_days is not None and told.time + dt.timedelta(days=provider.refresh_days) <= now


def question_of(name: str, provider: EnrichmentProvider, task: Task) -> Question | None:
    """Return what a provider would be told of an entity; None where it lacks what it needs."""
    inputs: dict[str, str] = {}
    for word, field_name in sorted(provider.inputs.items()):
        chosen = task.values.get(field_name)
        if chosen is not None and chosen.value is not None and chosen.source != provider.system:
            inputs[word] = str(chosen.value)
    lacking = len(inputs) < len(provider.inputs) if provider.needs == "all" else not inputs
    if lacking:
        return None
    content = _canonical([name, provider.kind, provider.base_url, task.object, inputs])
    return Question(inputs, hashlib.sha256(content).hexdigest())


def next_asked(open_: Plan, told: Mapping[str, Told]) -> str | None:
    """Return the provider to ask next: the first, of any field, that has said nothing yet and can be asked.

    Args:
        told: by provider, this round's and the fresh ones.
    """
    for name, providers in open_.fields.items():
        for provider in providers:
            known = told.get(provider)
            if known is None and provider in open_.questions:
                return provider
            if known is not None and name in known.fields:
                break
    return None


def lacking(open_: Plan, told: Mapping[str, Told]) -> dict[str, list[Told]]:
    """Return the fields without a value for which somebody could not be asked, with how that ended."""
    found: dict[str, list[Told]] = {}
    for name, providers in open_.fields.items():
        known = [told[provider] for provider in providers if provider in told]
        if not any(name in item.fields for item in known):
            failed = [item for item in known if not item.is_answer]
            if failed:
                found[name] = failed
    return found


def reading_of(
    document: PolicyDocument, provider: EnrichmentProvider, object_name: ObjectName, answer: Answer
) -> tuple[dict[str, Any], tuple[str, ...], str]:
    """Return what of an answer is recorded, the canonical fields it fills, and what was left out and why.

    Only values that the inbound mapping reads and the contract takes: one bad value does not cost the others.
    """
    system = document.systems[provider.system]
    known = {path.partition(".")[0] for path, _ in system.inbound[object_name].readings()}
    trusted = {
        word: item.value
        for word, item in answer.values.items()
        if word in known and item.confidence >= provider.confidence_min and item.value not in (None, "")
    }
    doubted = len([word for word in answer.values if word in known]) - len(trusted)
    reasons = [f"{doubted} below the confidence asked for or empty"] if doubted else []
    read = canonicalise(document, provider.system, object_name, trusted)
    for broken in read.violations:
        word = broken.field.removeprefix("event.payload.").partition(".")[0]
        if trusted.pop(word, None) is not None:
            reasons.append(f"{word}: {broken.rule}")
    fields = canonicalise(document, provider.system, object_name, trusted).fields
    return (
        trusted,
        tuple(sorted(name for name, value in fields.items() if value is not None)),
        "; ".join(reasons),
    )


def change_of(
    document: PolicyDocument, name: str, task: Task, answer: Answer, question: Question
) -> tuple[Change | None, Told]:
    """Return the event that an answer becomes, None where it says nothing new, and what is kept of it.

    Values that the provider brought before and has not now are cleared: they were of other inputs, or are gone.
    The event's time is that of the answer, or of the entity's change where an older answer serves it; both are stored,
    so a round that is done again after a crash makes the same event.
    """
    section = document.enrichment
    assert section is not None  # noqa: S101 - who asks has it
    provider = section.providers[name]
    values, fields, reason = reading_of(document, provider, task.object, answer)
    before = task.told.get(name)
    cleared = dict.fromkeys(word for word in (before.words if before else ()) if word not in values)
    told = Told(
        "hit" if fields else "miss", question.digest, answer.time, fields, tuple(sorted(values)), reason
    )
    if not values and not cleared:
        return None, told
    note = {
        "provider": name,
        "confidence": {word: answer.values[word].confidence for word in sorted(values)},
        "inputs": sorted(question.inputs),
        "digest": question.digest,
        "answer_time": answer.time.isoformat(),
        "reference": answer.reference,
    }
    payload = _canonical({**cleared, **values, NOTE: note})
    event_time = max(answer.time, task.wanted_time)
    external_id = f"{ENTITY_PREFIX}{task.entity_id}"
    return Change(provider.system, task.object, external_id, event_time, False, payload), told


def outdated(section: Enrichment, task: Task, open_: Plan, told: Mapping[str, Told]) -> tuple[str, ...]:
    """Return the providers whose values are of other inputs, and that had not to be asked again: those are cleared.

    One that failed this round keeps its values until it answers: an outage must not empty fields.
    """
    if open_ == NOTHING:
        return ()
    found: list[str] = []
    for name, before in task.told.items():
        if before.words and name in section.providers and name not in told:
            question = question_of(name, section.providers[name], task)
            if question is None or question.digest != before.digest:
                found.append(name)
    return tuple(found)


def clearing_of(section: Enrichment, name: str, task: Task) -> Change:
    """Return the event that takes back what a provider has brought."""
    before = task.told[name]
    note = {"provider": name, "cleared": "its inputs have changed"}
    payload = _canonical({**dict.fromkeys(before.words), NOTE: note})
    external_id, event_time = f"{ENTITY_PREFIX}{task.entity_id}", max(before.time, task.wanted_time)
    return Change(section.providers[name].system, task.object, external_id, event_time, False, payload)


def ending(
    section: Enrichment,
    task: Task,
    open_: Plan,
    told: Mapping[str, Told],
    cleared: Collection[str],
    now: dt.datetime,
    chance: float,
) -> Ending:
    """Return how a round ends: what is kept, and when the entity is looked at again.

    Args:
        told: by provider, this round's and the fresh ones.
        cleared: providers whose values were taken back.
        chance: 0..1, of full jitter.
    """
    # what is in force stays known although a condition, or another's value, keeps the provider from being asked now
    kept = {
        name: _remembered(task.told.get(name), told.get(name))
        for name in {*task.told, *told}
        if name in section.providers and name not in cleared
    }
    times = [
        item.time + dt.timedelta(days=days)
        for name, item in told.items()
        if item.is_answer and (days := section.providers[name].refresh_days) is not None
    ]
    failed = [item for items in lacking(open_, told).values() for item in items]
    tries = task.tries + 1 if failed else 0
    if failed and all(item.outcome == "budget" for item in failed):
        tries = task.tries
        times.append(_tomorrow(now))
    elif failed and tries <= len(section.retry_s):
        times.append(now + dt.timedelta(seconds=section.retry_s[tries - 1] * chance))
    elif any(item.outcome == "budget" for item in failed):
        times.append(_tomorrow(now))
    return Ending(kept, tries, max(now, min(times)) if times else None)


def _remembered(before: Told | None, now: Told | None) -> Told:
    """Return what is kept of a provider: a failure leaves what was recorded before as it is known."""
    if now is None or before is None or now.is_answer:
        kept = now or before
        assert kept is not None  # noqa: S101 - one of the two is there
        return kept
    return Told(now.outcome, before.digest, now.time, before.fields, before.words, now.reason)


def _tomorrow(now: dt.datetime) -> dt.datetime:
    day = now.astimezone(dt.UTC).date() + dt.timedelta(days=1)
    return dt.datetime.combine(day, dt.time(), dt.UTC)
