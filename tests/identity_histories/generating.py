"""Histories made up from a seed: right ones, by asking the reference one call after another and then stretching the
calls until they overlap; and wrong ones, by changing one answer. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from tests.identity_histories.calls import (
    Absent,
    Answer,
    History,
    Merge,
    Merged,
    Operation,
    Refused,
    Resolve,
    Resolved,
    Restored,
    Split,
    View,
)
from tests.identity_histories.choosing import Group, choose_call
from tests.identity_histories.reference import Reference

GAP: Final = 1_000
"""From one moment at which a call takes effect to the next."""
NOBODY: Final = "somebody-else"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a history is made.

    Args:
        calls: 1 or more.
        stretch: how many moments a call may reach to either side; 0 leaves them one after another.
        unanswered: share of calls whose answer nobody got; half of these never take effect.
    """

    calls: int
    stretch: int
    unanswered: float


def make_history(seed: int, shape: Shape) -> History:
    """Return a history that is linearizable by construction."""
    chance, group, service = random.Random(seed), Group(), Reference()
    operations = []
    for number in range(shape.calls):
        call = choose_call(group, chance)
        lost = chance.random() < shape.unanswered
        answer = None if lost and chance.random() < 0.5 else service.answer(call)
        if answer is not None and not lost:
            group.learn(answer)
        moment = (number + 1) * GAP
        reach = shape.stretch * GAP
        operations.append(
            Operation(
                client=number,
                call=call,
                called=moment - round(chance.random() * reach),
                returned=moment + round(chance.random() * reach) + 1,
                answer=None if lost else answer,
            )
        )
    return operations


def spoil(history: History, seed: int) -> History | None:
    """Return the history with one answer changed, or one change unsaid; None when nothing there can be changed."""
    chance = random.Random(seed)
    places = list(range(len(history)))
    chance.shuffle(places)
    for place in places:
        for wrong in chance.sample(_WRONGS, len(_WRONGS)):
            spoiled = wrong(history, place, chance)
            if spoiled is not None:
                return spoiled
    return None


_Wrong = Callable[[History, int, random.Random], "History | None"]


def _with(history: History, place: int, answer: Answer) -> History | None:
    if answer == history[place].answer:
        return None
    changed = list(history)
    changed[place] = msgspec.structs.replace(history[place], answer=answer)
    return changed


def _other_entity(history: History, place: int, chance: random.Random) -> History | None:
    """An answer names another entity that there is."""
    answer = history[place].answer
    seen = sorted(
        {
            entity
            for one in history
            if isinstance(one.answer, Resolved)
            for entity in one.answer.entities
            if entity not in _entities(answer)
        }
    )
    if not seen:
        return None
    other = chance.choice(seen)
    if isinstance(answer, Resolved):
        return _with(history, place, Resolved((*answer.entities[:-1], other)))
    if isinstance(answer, View | Restored):
        return _with(history, place, msgspec.structs.replace(answer, entity=other))
    return None


def _entities(answer: Answer | None) -> Sequence[str]:
    if isinstance(answer, Resolved):
        return answer.entities
    return [answer.entity] if isinstance(answer, View | Restored) else []


def _member_lost(history: History, place: int, chance: random.Random) -> History | None:
    """A record is missing from an entity."""
    answer = history[place].answer
    if not isinstance(answer, View) or not answer.members:
        return None
    lost = chance.choice(sorted(answer.members))
    return _with(history, place, msgspec.structs.replace(answer, members=answer.members - {lost}))


def _member_gained(history: History, place: int, chance: random.Random) -> History | None:
    """A record is in an entity where it does not belong."""
    answer = history[place].answer
    if not isinstance(answer, View):
        return None
    strangers = sorted({r for one in history if isinstance(one.call, Resolve) for r in one.call.records})
    stranger = chance.choice(strangers or [NOBODY])
    return _with(history, place, msgspec.structs.replace(answer, members=answer.members | {stranger}))


def _forgotten(history: History, place: int, _chance: random.Random) -> History | None:
    """What was there is said not to be."""
    return _with(history, place, Absent()) if isinstance(history[place].answer, View) else None


def _miscounted(history: History, place: int, _chance: random.Random) -> History | None:
    """A merge or a split says that it moved one record more."""
    answer = history[place].answer
    if not isinstance(answer, Merged | Restored):
        return None
    return _with(history, place, msgspec.structs.replace(answer, moved=answer.moved + 1))


def _refused_or_not(history: History, place: int, _chance: random.Random) -> History | None:
    """A merge that was done is said to be refused, or the other way round."""
    if not isinstance(history[place].call, Merge):
        return None
    done = isinstance(history[place].answer, Merged)
    return _with(history, place, Refused() if done else Merged(NOBODY, 1))


def _unsaid(history: History, place: int, _chance: random.Random) -> History | None:
    """A merge or split that others saw was never asked for."""
    one = history[place]
    if not isinstance(one.call, Merge | Split) or not isinstance(one.answer, Merged | Restored):
        return None
    return [*history[:place], *history[place + 1 :]]


def _traded(history: History, place: int, chance: random.Random) -> History | None:
    """Two clients who asked the same at different times get each other's answers."""
    one = history[place]
    others = [
        n
        for n, other in enumerate(history)
        if other.call == one.call and None not in {other.answer, one.answer} and other.answer != one.answer
    ]
    if not others:
        return None
    other = chance.choice(others)
    changed = list(history)
    changed[place] = msgspec.structs.replace(one, answer=history[other].answer)
    changed[other] = msgspec.structs.replace(history[other], answer=one.answer)
    return changed


_WRONGS: Final[Sequence[_Wrong]] = (
    _other_entity,
    _member_lost,
    _member_gained,
    _forgotten,
    _miscounted,
    _refused_or_not,
    _unsaid,
    _traded,
)
