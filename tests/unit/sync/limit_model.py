"""Limits under virtual time: actors that come and go, a network that dawdles and loses, a vendor that counts.

Owns the model only; what must hold is the tests' business. Everything follows from the seed. The
vendor counts arrivals by the nanosecond; `over` are the arrivals that found a window too full.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from headwater.connectors.base import LimitFacts
from headwater.sync.domain.limiting import CLASSES, Granted, Limiter, Rules
from headwater.sync.domain.usage import Block, Usage, from_json, take_over, to_json, write_down
from headwater.sync.domain.windows import NS_PER_S, WindowRule

MS: Final = NS_PER_S // 1_000


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens to an account.

    Args:
        latency_ns: shortest and longest way of a request, and of an answer.
        loss: share of calls that are never answered.
        demand_per_s: calls wanted a second; 0: as many as may go.
        foreign_per_s: calls of others in the first window.
        life_ns: shortest and longest life of an actor; 0 for one actor throughout.
        crash: share of actors that end without a word.
        cancelled: share of orderly ends that cancel calls under way instead of waiting for them.
        zombie: share of crashed actors that come back later and go on.
    """

    rules: Rules
    calls: int
    latency_ns: tuple[int, int] = (2 * MS, 30 * MS)
    timeout_ns: int = NS_PER_S
    loss: float = 0.0
    demand_per_s: float = 0.0
    foreign_per_s: float = 0.0
    life_ns: tuple[int, int] = (0, 0)
    crash: float = 0.0
    cancelled: float = 0.0
    zombie: float = 0.0
    headers: bool = True


@dataclass(frozen=True, slots=True)
class Without:
    """Safeguards taken away, to see that the model notices."""

    answer: bool = False
    """A window's slot is freed one window after the sending, not after the answer."""
    pessimism: bool = False
    """A successor believes that what was not seen to arrive never will."""
    lease: bool = False
    """An actor whose lease has lapsed goes on."""
    books: bool = False
    """A successor begins with empty windows."""


NOTHING: Final = Without()


class Counter:
    """One sliding window as the vendor counts it."""

    def __init__(self, rule: WindowRule) -> None:
        self.rule = rule
        self.total = 0
        self.most = 0
        self.used = 0
        self._times: deque[tuple[int, int]] = deque()

    def count(self, now_ns: int, amount: int) -> bool:
        """Count an arrival; return whether the window is over its limit now."""
        self.drop(now_ns)
        self._times.append((now_ns, amount))
        self.used += amount
        self.total += amount
        self.most = max(self.most, self.used)
        return self.used > self.rule.limit

    def drop(self, now_ns: int) -> None:
        """Forget what left the half-open window (now - width, now]."""
        while self._times and self._times[0][0] <= now_ns - self.rule.window_ns:
            self.used -= self._times.popleft()[1]


@dataclass(slots=True)
class Actor:
    """One life of an account's actor."""

    limiter: Limiter
    block: Block
    fence: int
    alive: bool = True
    lapsed: bool = False
    draining: bool = False
    flying: int = 0
    look_ns: int = 0


@dataclass(slots=True)
class Seen:
    """What came of a scene."""

    calls: int = 0
    over: int = 0
    refused: int = 0
    lives: int = 1
    begun_ns: int = 0
    ended_ns: int = 0
    most: dict[str, int] = field(default_factory=dict)
    use: dict[str, float] = field(default_factory=dict)


class Model:
    """One account's life."""

    def __init__(self, scene: Scene, seed: int, without: Without = NOTHING) -> None:
        self.scene = scene
        self.without = without
        self.chance = random.Random(seed)
        self.now = 0
        self.seen = Seen()
        self.counters = [Counter(rule) for rule in scene.rules.windows]
        self.others = Counter(scene.rules.windows[0])
        self.books = "{}"
        self.books_fence = 0
        self.books_time = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._number = 0
        self._wishes = 0
        self.actor = self._begin()

    def run(self) -> Seen:
        """Live until the scene's calls have arrived."""
        self._arrange()
        while self.seen.calls < self.scene.calls:
            self.now, _, act = heapq.heappop(self._events)
            act()
        span = max(1, self.now - self.seen.begun_ns)
        for counter in self.counters:
            allowed = counter.rule.limit * span / counter.rule.window_ns + counter.rule.limit
            self.seen.use[counter.rule.key] = counter.total / allowed
            self.seen.most[counter.rule.key] = counter.most
        self.seen.ended_ns = self.now
        return self.seen

    def _arrange(self) -> None:
        scene = self.scene
        if scene.demand_per_s:
            self._wish()
        if scene.foreign_per_s:
            self._foreign()
        if scene.life_ns[1]:
            self._after(self.chance.randint(*scene.life_ns), self._end_life)
        self._pump(self.actor)

    def _after(self, wait_ns: int, act: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (self.now + max(0, wait_ns), self._number, act))

    # the actor

    def _begin(self) -> Actor:
        limiter = Limiter(self.scene.rules)
        usage = from_json(json.loads(self.books), self.now - self.books_time)
        if self.without.books:
            usage = Usage(fresh=True)
        self.books_fence += 1
        latest_ns = self.scene.timeout_ns + self.scene.rules.lost_ns
        if self.without.pessimism:
            usage = Usage(
                {
                    key: type(item)(item.held, 0, item.limit, item.foreign)
                    for key, item in usage.windows.items()
                },
                usage.pauses,
                usage.strikes,
                usage.elapsed_ns,
                usage.fresh,
            )
        take_over(limiter, usage, self.now, latest_ns)
        actor = Actor(limiter, Block(self.scene.rules), self.books_fence)
        self._write(actor, (0,) * len(actor.block.amounts))
        return actor

    def _wish(self) -> None:
        self._wishes += 1
        self._after(int(self.chance.expovariate(self.scene.demand_per_s) * NS_PER_S), self._wish)
        self._pump(self.actor)

    def _pump(self, actor: Actor) -> None:
        """Start every call that may go; come back when another may."""
        if not actor.alive or actor.lapsed or actor.draining:
            return
        saturated = not self.scene.demand_per_s
        while saturated or self._wishes:
            endpoint_class = self.chance.choice(CLASSES)
            answer = actor.limiter.reserve(self.now, self.scene.rules.cost(endpoint_class), endpoint_class)
            if not isinstance(answer, Granted):
                self._look_again(actor, answer.time_ns)
                return
            if not self._booked(actor, answer):
                return
            self._wishes -= 0 if saturated else 1
            self._send(actor, answer)

    def _look_again(self, actor: Actor, time_ns: int | None) -> None:
        if time_ns is not None and not self.now < actor.look_ns <= time_ns:
            actor.look_ns = time_ns
            self._after(time_ns - self.now, lambda: self._pump(actor))

    def _booked(self, actor: Actor, grant: Granted) -> bool:
        if actor.block.cover(grant):
            return True
        if actor.fence != self.books_fence:
            actor.limiter.give_back(grant)
            actor.alive = False
            return False
        covered = actor.limiter.numbered
        self._write(actor, actor.block.amounts)
        actor.block.written(covered)
        return True

    def _write(self, actor: Actor, block: tuple[int, ...]) -> None:
        self.books = json.dumps(to_json(write_down(actor.limiter, self.now, block)))
        self.books_time = self.now

    def _end_life(self) -> None:
        actor, scene = self.actor, self.scene
        if self.chance.random() < scene.crash:
            actor.lapsed = True
            if self.chance.random() < scene.zombie:
                self._after(self.chance.randint(0, 8 * scene.timeout_ns), lambda: self._wake(actor))
        elif actor.flying and self.chance.random() >= scene.cancelled:
            actor.draining = True
            return
        self._succeed(actor)

    def _succeed(self, actor: Actor) -> None:
        """Hand over: an actor that ends in order writes its books, calls it gave up under way in them as open."""
        if not actor.lapsed:
            self._write(actor, (0,) * len(actor.block.amounts))
            actor.alive = False
        self.seen.lives += 1
        self.actor = self._begin()
        self._after(self.chance.randint(*self.scene.life_ns), self._end_life)
        self._pump(self.actor)

    def _landed(self, actor: Actor) -> None:
        actor.flying -= 1
        if actor.draining and not actor.flying and actor.alive:
            self._succeed(actor)

    def _wake(self, actor: Actor) -> None:
        """Let an actor go on that slept through its lease."""
        if self.without.lease:
            actor.lapsed = False
            self._pump(actor)

    # the network

    def _send(self, actor: Actor, grant: Granted) -> None:
        there, back = (self.chance.randint(*self.scene.latency_ns) for _ in range(2))
        actor.flying += 1
        if self.without.answer:
            actor.limiter.answered(self.now, grant)
        lost = self.chance.random() < self.scene.loss
        if lost or there + back >= self.scene.timeout_ns:
            self._after(self.scene.timeout_ns, lambda: self._give_up(actor, grant))
            latest = self.scene.timeout_ns + self.scene.rules.lost_ns
            there = self.chance.randint(0, latest)
            self._after(there, lambda: self._arrive(actor, grant, None))
            return
        self._after(there, lambda: self._arrive(actor, grant, back))

    def _give_up(self, actor: Actor, grant: Granted) -> None:
        if self.without.answer:
            actor.limiter.ended(grant)
        else:
            actor.limiter.lost(self.now, grant)
        self._landed(actor)
        self._pump(actor)

    def _answer(self, actor: Actor, grant: Granted, status: int, facts: LimitFacts) -> None:
        if not self.without.answer:
            actor.limiter.answered(self.now, grant)
        actor.limiter.observe(self.now, grant, status, facts)
        actor.limiter.ended(grant)
        self._landed(actor)
        self._pump(actor)

    # the vendor

    def _arrive(self, actor: Actor, grant: Granted, back_ns: int | None) -> None:
        seen = self.seen
        seen.calls += 1
        over = [
            counter.count(self.now, amount)
            for counter, amount in zip(self.counters, grant.amounts, strict=True)
            if amount
        ]
        seen.over += any(over)
        if back_ns is None:
            return
        status, facts = self._judge(grant)
        self._after(back_ns, lambda: self._answer(actor, grant, status, facts))

    def _judge(self, grant: Granted) -> tuple[int, LimitFacts]:
        if not self.scene.headers or not grant.amounts[0]:
            return 200, LimitFacts()
        first, rule = self.counters[0], self.scene.rules.windows[0]
        self.others.drop(self.now)
        left = rule.limit - first.used - self.others.used
        if left < 0:
            self.seen.refused += 1
            return 429, LimitFacts(0, rule.window_ns / NS_PER_S, window_limit=rule.limit)
        return 200, LimitFacts(left, rule.window_ns / NS_PER_S, window_limit=rule.limit)

    def _foreign(self) -> None:
        self.others.count(self.now, 1)
        self._after(int(self.chance.expovariate(self.scene.foreign_per_s) * NS_PER_S), self._foreign)


def random_scene(chance: random.Random, calls: int) -> Scene:
    """Return a scene with everything in it, drawn from *chance*."""
    windows = tuple(_random_window(chance, number) for number in range(chance.randint(1, 3)))
    rules = Rules(
        windows=windows,
        costs={name: chance.randint(1, 10) for name in CLASSES},
        concurrency=chance.choice((1, 2, 4, 8, 16, 64)),
        class_concurrency={"search": chance.randint(1, 4)} if chance.random() < 0.3 else {},
        lost_ns=chance.choice((0, 50 * MS, NS_PER_S)),
    )
    slow = chance.choice((5, 40, 300)) * MS
    widest = max(rule.window_ns for rule in windows)
    living = chance.random() < 0.7
    return Scene(
        rules=rules,
        calls=calls,
        latency_ns=(chance.randint(0, MS), slow),
        timeout_ns=chance.choice((slow, 4 * slow)),
        loss=chance.choice((0.0, 0.01, 0.2)),
        demand_per_s=chance.choice((0.0, 0.0, 5.0, 50.0)),
        foreign_per_s=chance.choice((0.0, 0.0, 3.0)),
        life_ns=(widest // 10, widest * chance.choice((1, 5))) if living else (0, 0),
        cancelled=0.5,
        crash=chance.choice((0.0, 0.3, 1.0)),
        zombie=0.5,
        headers=chance.random() < 0.7,
    )


def _random_window(chance: random.Random, number: int) -> WindowRule:
    tokens = chance.random() < 0.4
    limit = chance.randint(10, 400) if tokens else chance.randint(1, 200)
    classes = frozenset(CLASSES if number == 0 else chance.sample(CLASSES, chance.randint(1, 4)))
    window_ns = chance.choice((100, 1_000, 2_000, 10_000)) * MS
    return WindowRule(f"{number}", limit, window_ns, classes, tokens)
