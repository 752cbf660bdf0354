"""Whether a concurrent history could have come about one call after another. Pure; knows no service.

The search of Wing and Gong: take any call that nobody is certain to have followed, ask the model whether its answer
is right at this moment, go on; memoised by what was taken and the state reached, as Lowe does, so that two orders
that come to the same are looked at once.

Source: Wing and Gong, "Testing and verifying concurrent objects" (1993); Lowe, "Testing for linearizability" (2017).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

from tests.identity_histories.calls import Answer, Call, History, Operation

STEPS_MAX: Final = 200_000
"""Questions to the model before the search gives up: a history of a dozen calls needs some hundreds."""

S = TypeVar("S", bound=Hashable)
Outcome = Literal["linearizable", "not linearizable", "undecided"]


class Model(Protocol[S]):
    """What a service promises, one call after another."""

    def initial(self) -> S:
        """Return the state in which nothing has happened."""
        ...

    def after(self, state: S, call: Call, answer: Answer | None) -> Iterable[S]:
        """Return every state that *call* may lead to; none when *answer* is wrong in this state.

        Args:
            answer: None when it is not known: then every state that the call may change this one to.
        """
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the search came to.

    Args:
        order: a proof, as places in the history; when there is none, the longest order that was right so far.
        stuck: of a history without a proof, the calls one of which had to come next in that order.
    """

    outcome: Outcome
    steps: int
    order: tuple[int, ...]
    stuck: tuple[int, ...] = ()

    @property
    def good(self) -> bool:
        """Whether an order was found."""
        return self.outcome == "linearizable"


def check(model: Model[S], history: History, steps_max: int = STEPS_MAX) -> Verdict:
    """Search for an order that explains every answer and keeps what was certainly before before.

    Calls without an answer may take effect at any time after they were sent, or never. Two calls of which one
    returned at the very instant when the other was sent count as concurrent.
    """
    return _Search(model, history).run(steps_max)


_Node = tuple[int, S]


class _Search(Generic[S]):
    def __init__(self, model: Model[S], history: Sequence[Operation]) -> None:
        self._model = model
        self._history = history
        self._answered = sum(1 << place for place, one in enumerate(history) if one.answer is not None)
        self._earliest = sorted(range(len(history)), key=self._eagerness, reverse=True)
        self._origin: dict[_Node[S], tuple[_Node[S], int] | None] = {}

    def _eagerness(self, place: int) -> tuple[bool, int]:
        one = self._history[place]
        return (one.answer is None, one.called if one.answer is None else one.returned)

    def run(self, steps_max: int) -> Verdict:
        steps = 0
        start: _Node[S] = (0, self._model.initial())
        self._origin[start] = None
        open_nodes, best = [start], start
        while open_nodes:
            node = open_nodes.pop()
            taken, state = node
            if taken & self._answered == self._answered:
                return Verdict("linearizable", steps, self._order(node))
            if taken.bit_count() > best[0].bit_count():
                best = node
            for place in self._next(taken):
                one = self._history[place]
                steps += 1
                for reached in self._model.after(state, one.call, one.answer):
                    follower: _Node[S] = (taken | 1 << place, reached)
                    if follower not in self._origin:
                        self._origin[follower] = (node, place)
                        open_nodes.append(follower)
            if steps >= steps_max:
                return Verdict("undecided", steps, self._order(best), tuple(self._next(best[0])))
        return Verdict("not linearizable", steps, self._order(best), tuple(self._next(best[0])))

    def _next(self, taken: int) -> list[int]:
        """Return the calls that may come next, those without an answer first: the last one is tried first."""
        left = [place for place in self._earliest if not taken >> place & 1]
        horizon = min(
            (self._history[place].returned for place in left if self._answered >> place & 1), default=0
        )
        return [place for place in left if self._history[place].called <= horizon]

    def _order(self, node: _Node[S]) -> tuple[int, ...]:
        order: list[int] = []
        while (origin := self._origin[node]) is not None:
            node, place = origin
            order.append(place)
        return tuple(reversed(order))


def explain(history: History, verdict: Verdict) -> str:
    """Tell, line by line, the order found and where it ends."""
    lines = [f"{verdict.outcome} after {verdict.steps} steps"]
    lines += [f"  {_line(history[place])}" for place in verdict.order]
    if not verdict.good:
        lines.append("none of these can come next:")
        lines += [f"  {_line(history[place])}" for place in verdict.stuck]
    return "\n".join(lines)


def _line(one: Operation) -> str:
    span = f"{one.called}..{one.returned}" if one.answer is not None else f"{one.called}.."
    return f"client {one.client} [{span}] {one.call} -> {one.answer or 'nobody knows'}"
