"""What is listened to of an account, and what follows from what a stream tells. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headwater.connectors.base.streaming import Heard, Listened
from headwater.policy.document import PolicyDocument
from headwater.sync.domain.polling import poll_plans

SHOWS_LATE_S: Final = 5.0
"""Added to a poll's overlap before it runs again for what a stream did not tell: its newest seconds wait, too."""

TopicsOf = Callable[[Sequence[str]], Sequence[str]]
"""From CRM objects to the vendor's topics of them."""


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream of an account.

    Args:
        schedule: name of its job.
        polls: of each CRM object, the name of the job that polls it.
        overlap_s: how late the vendor may show a change.
    """

    schedule: str
    listened: Listened
    polls: Mapping[str, str]
    overlap_s: float

    @property
    def topic(self) -> str:
        """The vendor's name of the stream."""
        return self.listened.topic


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a stream is heard.

    Args:
        mark: where to go on; "" at first, and when the vendor has forgotten it.
        catch_up_time: when the pollers are to run besides; None: they need not.
    """

    mark: str = ""
    catch_up_time: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class StreamStep:
    """What is to be kept of what was heard, in one transaction.

    Args:
        before: the mark that it follows on; nothing is kept when another has moved it.
        polls: names of jobs to run now.
        catch_up_time: when all of them are to run again; None leaves what stands.
    """

    before: str
    heard: Heard
    polls: tuple[str, ...] = ()
    catch_up_time: dt.datetime | None = None


def poll_schedule(connector: str, crm_object: str) -> str:
    """Return the name of the job that polls an object."""
    return f"poll/{connector}/{crm_object}"


def stream_plans(document: PolicyDocument, connector: str, topics_of: TopicsOf) -> dict[str, StreamPlan]:
    """Return what is listened to of an account, by topic; empty when the policy does not ask for it."""
    policy = document.connectors[connector]
    pubsub = policy.events.pubsub
    plans = poll_plans(document, connector)
    if pubsub is None or not plans:
        return {}
    fields = {crm_object: frozenset(plan.polled.fields) for crm_object, plan in plans.items()}
    polls = {crm_object: poll_schedule(connector, crm_object) for crm_object in plans}
    return {
        topic: StreamPlan(
            f"stream/{connector}/{topic.rsplit('/', 1)[-1]}",
            Listened(topic, fields, pubsub.window_events, pubsub.address),
            polls,
            policy.poll.overlap_s,
        )
        for topic in pubsub.topics or topics_of(list(fields))
    }


def step_of(plan: StreamPlan, state: StreamState, heard: Heard, now: dt.datetime) -> StreamStep:
    """Return what is to be kept of *heard*.

    A stream that began anywhere but behind a mark says nothing of what was before: with its first mark it is known to
    have begun, and what the vendor shows late of before that is polled once it must have shown. The same holds of
    objects of which it says that it did not tell all; they are polled at once as well.
    """
    begins = not state.mark and bool(heard.mark)
    polls = tuple(plan.polls[name] for name in sorted(heard.missed) if name in plan.polls)
    again = now + dt.timedelta(seconds=plan.overlap_s + SHOWS_LATE_S) if begins or polls else None
    return StreamStep(state.mark, heard, polls, again)
