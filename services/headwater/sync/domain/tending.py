"""What becomes of leads: assigned, moved, kept, suppressed, done, ended. Pure; a `Tending` keeps what has changed.

A lead is an entity of an object that the policy routes. Its row says who has it. An owner that the field's rule takes
from elsewhere, as a CRM or an operator, is respected: the row follows it. After a merge one row stands for the entity
that stands, the one whose word its owner is; after a split each stands for itself again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from headwater.kernel.ids import ROUTING_SOURCE
from headwater.policy.assigning import (
    Assignment,
    Nobody,
    Verdict,
    is_done,
    lane_of,
    lost_standing,
    route,
    suppressed_by,
)
from headwater.policy.conditions import Lead
from headwater.policy.document import PolicyDocument
from headwater.policy.routing import Routing, Scope
from headwater.policy.survivorship import Chosen
from headwater.sync.domain.leads import LOADING, LeadRow, LeadState, Look, Note, Touch
from headwater.sync.domain.sla import TimerBook, TimerKind
from headwater.sync.domain.states import EntityState, RecordState

WAIT_S: Final = 30.0
"""Pause before somebody is looked for again where nobody could take a lead."""
_HELD: Final = frozenset({"locked", "operator"})
"""Choices that no automation moves."""


@dataclass(slots=True)
class Tending:
    """One look at some leads of a tenant, and what came of it.

    Args:
        rows: entity to its row, as they stand.
        given: rows that got another person; the log is told of each.
    """

    document: PolicyDocument
    now: dt.datetime
    loads: Counter[str]
    turns: dict[str, str]
    timers: TimerBook
    rows: dict[uuid.UUID, LeadRow]
    changed: dict[uuid.UUID, LeadRow] = field(default_factory=dict)
    turned: dict[str, str] = field(default_factory=dict)
    given: list[LeadRow] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def routing(self) -> Routing:
        """What the policy says about routing."""
        routing = self.document.routing
        assert routing is not None  # noqa: S101 - nobody tends leads without it
        return routing

    def work(self, looks: Iterable[Look], touches: Iterable[Touch]) -> None:
        """Look at leads and activities: what was promised until now goes before what becomes of the leads."""
        self._touch(touches)
        self.timers.run_out(self.now)
        self._tend_all(looks)
        self._note_outcomes()

    def _tend_all(self, looks: Iterable[Look]) -> None:
        """Look at leads: those of the fast lane first, then in the order in which the log heard of them."""
        ordered = [(lane_of(self.routing, look.lead()) != "fast", look.place, look) for look in looks]
        for _, _, look in sorted(ordered, key=lambda item: (*item[:2], item[2].entity.entity_id)):
            self._tend(look)

    def _touch(self, touches: Iterable[Touch]) -> None:
        """Note when leads and their owners were in touch, in order of time."""
        homes: dict[uuid.UUID, list[LeadRow]] = {}
        for row in self.rows.values():
            homes.setdefault(row.home_id, []).append(row)
        for item in sorted(touches, key=lambda one: one.moment):
            standing = {self.rows[home].home_id if home in self.rows else home for home in item.homes}
            for row in [found for home in sorted(standing) for found in homes.get(home, ())]:
                self._touched(self.rows[row.entity_id], item)

    def _note_outcomes(self) -> None:
        """Put what became of timers into the audit."""
        for item in self.timers.outcomes:
            timer, row = item.timer, self.rows.get(item.timer.entity_id)
            ended = timer.end_time.isoformat() if timer.end_time else None
            changes = (
                {"field": timer.kind.name.lower(), "before": timer.due_time.isoformat(), "after": ended, "rule": timer.target},
                {"field": "escalate_to", "before": None, "after": timer.escalate_to, "rule": timer.rule},
            )  # fmt: skip
            self.notes.append(Note(f"sla_{item.word}", row.home_id if row else timer.entity_id, changes))

    def _touched(self, row: LeadRow, item: Touch) -> None:
        if row.state not in LOADING or row.assign_time is None or item.moment < row.assign_time:
            return
        key = (row.entity_id, row.number)
        if item.ours:
            self.timers.end(TimerKind.FIRST_TOUCH, *key, item.moment)
            self.timers.end(TimerKind.FIRST_REPLY, *key, item.moment)
            if row.touch_time is None or row.touch_time < item.moment:
                self._set(self._checked(replace(row, touch_time=item.moment)))
        elif item.theirs:
            self.timers.open(TimerKind.FIRST_REPLY, *key, row.rule, row.lane, row.person, item.moment)

    def _tend(self, look: Look) -> None:
        entity = look.entity
        if entity.state != "active":
            self._end_all(entity)
            return
        row, lead = self._standing(look), look.lead()
        owner = entity.fields.get(self.routing.owner_of(entity.object) or "")
        if owner is not None and owner.value is not None and owner.source != ROUTING_SOURCE:
            self._keep(look, row, owner)
        elif is_done(self.routing, lead):
            self._close(look, row, LeadState.DONE, "done")
        elif by := suppressed_by(self.routing, lead):
            self._close(look, row, LeadState.SUPPRESSED, f"suppressed by {by}")
        elif row is not None and row.person and row.state is not LeadState.KEPT:
            self._hold(row, lead, owner)
        else:
            self._give(look, row, self._route(lead))

    def _standing(self, look: Look) -> LeadRow | None:
        """Return the row that stands for a lead; the others that were merged into it end."""
        entity_id = look.entity.entity_id
        said = [item for item in look.members if item.key.source == ROUTING_SOURCE]
        named = {uuid.UUID(item.key.external_id): item for item in said}
        found = [self.rows[name] for name in {entity_id, *named} if name in self.rows]
        if not found:
            return self._adopted(look, said)
        shown = look.entity.fields.get(self.routing.owner_of(look.entity.object) or "")
        best = max(found, key=lambda row: _claim(row, named.get(row.entity_id), shown))
        for row in found:
            if row.entity_id != best.entity_id:
                self._end(replace(row, home_id=entity_id), f"merged into {entity_id}")
        if best.home_id != entity_id or best.state is LeadState.ENDED:
            state = LeadState.ASSIGNED if best.person else LeadState.WAITING
            best = replace(
                best, home_id=entity_id, state=state if best.state is LeadState.ENDED else best.state
            )
            self._set(self._checked(best))
        return best

    def _adopted(self, look: Look, said: Sequence[RecordState]) -> LeadRow | None:
        """Return a row for what the log says of a lead that has none: the table was lost, the log was not."""
        field_name = self.routing.owner_of(look.entity.object) or ""
        facts = [(item.fields[field_name], item) for item in said if field_name in item.fields]
        if not facts:
            return None
        fact, _ = max(facts, key=lambda one: (one[0].field_time, one[0].event_key))
        known = self.routing.people.get(str(fact.value))
        row = replace(
            self._fresh(look), state=LeadState.ASSIGNED, number=1, person=str(fact.value),
            role=(known.role if known else None) or "", rule="adopted", reason="found in the log",
            assign_time=fact.field_time, event_key=fact.event_key,
        )  # fmt: skip
        self._set(self._checked(row))
        return row

    def _fresh(self, look: Look) -> LeadRow:
        entity = look.entity
        return LeadRow(
            entity.entity_id,
            entity.entity_id,
            entity.object,
            look.source,
            LeadState.WAITING,
            look.mark_time or self.now,
        )

    def _keep(self, look: Look, row: LeadRow | None, owner: Chosen) -> None:
        """Follow an owner that routing did not find."""
        held, person = row or self._fresh(look), str(owner.value)
        if held.state is LeadState.KEPT and held.person == person:
            if held.check_time is not None:
                self._set(replace(held, check_time=None))
            return
        self._had(held)
        self.timers.drop(held.entity_id, held.number)
        reason = f"{owner.source} says so, by {owner.rule}"
        kept = replace(
            held, state=LeadState.KEPT, person=person, reason=reason, rule="", pool="", check_time=None,
            assign_time=self.now, policy_version=self.document.version,
        )  # fmt: skip
        self._set(kept)
        if row is not None:
            self._note("lead_kept", held, kept)

    def _close(self, look: Look, row: LeadRow | None, state: LeadState, reason: str) -> None:
        held = row or self._fresh(look)
        if row is not None and held.state is state and held.check_time is None:
            return
        self.timers.drop(held.entity_id, held.number)
        self.timers.drop(held.entity_id, 0)
        closed = replace(held, state=state, reason=reason, check_time=None)
        self._set(closed)
        if held.state is not state or row is None:
            self._note(f"lead_{state.name.lower()}", held, closed)

    def _end_all(self, entity: EntityState) -> None:
        into = f"merged into {entity.merged_into}" if entity.merged_into else "deleted"
        for row in list(self.rows.values()):
            if row.home_id == entity.entity_id:
                self._end(row, into)

    def _end(self, row: LeadRow, reason: str) -> None:
        if row.state is LeadState.ENDED:
            if self.rows[row.entity_id] != row:
                self._set(row)
            return
        self.timers.drop(row.entity_id, row.number)
        self.timers.drop(row.entity_id, 0)
        ended = replace(row, state=LeadState.ENDED, reason=reason, check_time=None)
        self._set(ended)
        self._note("lead_ended", row, ended)

    def _hold(self, row: LeadRow, lead: Lead, owner: Chosen | None) -> None:
        """Leave a lead with whoever has it, or move it where the policy wants that."""
        if row.state is not LeadState.ASSIGNED:  # it was done or suppressed, and is not any more
            row = replace(row, state=LeadState.ASSIGNED)
        why = self._moves(row) if owner is None or owner.rule not in _HELD else ""
        verdict = self._route(lead, frozenset({row.person})) if why else None
        if isinstance(verdict, Assignment):
            self._assign(row, verdict, f"{why}; {verdict.reason}", moved=True)
            return
        held = self._checked(row)
        if why:
            later = self.now + dt.timedelta(seconds=WAIT_S)
            held = replace(held, check_time=later)
        if held != self.rows.get(row.entity_id):
            self._set(held)

    def _moves(self, row: LeadRow) -> str:
        """Return why a lead goes to somebody else by itself; empty when it stays."""
        wish = self.routing.reassign
        if row.moves >= wish.moves_max:
            return ""
        lost = lost_standing(self.routing, row.person, row.pool, row.role)
        if lost:
            return lost if _concerns(wish.role_change, row) else ""
        calendar = self.routing.calendars[row.person]
        if calendar.absence(self.now) is not None and _concerns(wish.out_of_office, row):
            return f"{row.person} is out of office"
        idle = self._idle_time(row)
        return f"{row.person} was not in touch in time" if idle is not None and idle <= self.now else ""

    def _idle_time(self, row: LeadRow) -> dt.datetime | None:
        seconds, calendar = self.routing.reassign.inactivity_s, self.routing.calendars.get(row.person)
        times = [moment for moment in (row.assign_time, row.touch_time) if moment is not None]
        if seconds is None or calendar is None or not times:
            return None
        return calendar.after(max(times), seconds)

    def _checked(self, row: LeadRow) -> LeadRow:
        """Return a row with the time at which it is to be looked at by itself."""
        if row.state is LeadState.WAITING:
            return replace(row, check_time=self.now + dt.timedelta(seconds=WAIT_S))
        if row.state is not LeadState.ASSIGNED or row.moves >= self.routing.reassign.moves_max:
            return replace(row, check_time=None)
        calendar = self.routing.calendars.get(row.person)
        away = calendar.next_absence(self.now) if calendar else None
        if self.routing.reassign.out_of_office == "never":
            away = None
        times = [
            moment for moment in (away, self._idle_time(row)) if moment is not None and moment > self.now
        ]
        return replace(row, check_time=min(times) if times else None)

    def _route(self, lead: Lead, excluded: frozenset[str] = frozenset()) -> Verdict:
        return route(self.routing, lead, self.loads, self.turns, self.now, excluded)

    def _give(self, look: Look, row: LeadRow | None, verdict: Verdict) -> None:
        held = row or self._fresh(look)
        rule, lane = (
            (verdict.rule, verdict.lane) if isinstance(verdict, (Assignment, Nobody)) else ("", "normal")
        )
        self.timers.open(TimerKind.ASSIGNMENT, held.entity_id, 0, rule, lane, "", held.lead_time)
        if isinstance(verdict, Assignment):
            self._assign(held, verdict, verdict.reason, moved=False)
            return
        state, reason = LeadState.WAITING, verdict.reason
        waiting = replace(
            held, state=state, person="", role="", pool="", rule=rule, lane=lane, reason=reason,
            policy_version=self.document.version, assign_time=None,
        )  # fmt: skip
        self._set(self._checked(waiting))
        if row is None or row.state is not LeadState.WAITING:
            self._note("lead_waiting", held, waiting)

    def _assign(self, row: LeadRow, found: Assignment, reason: str, *, moved: bool) -> None:
        self._had(row)
        self.timers.drop(row.entity_id, row.number, (TimerKind.FIRST_TOUCH, TimerKind.FIRST_REPLY))
        role = self.routing.people[found.person].role or ""
        given = replace(
            row, state=LeadState.ASSIGNED, number=row.number + 1, moves=row.moves + int(moved),
            person=found.person, role=role, rule=found.rule, pool=found.pool, lane=found.lane, reason=reason[:1024],
            policy_version=self.document.version, assign_time=self.now, event_key=None,
        )  # fmt: skip
        given = self._checked(given)
        self._set(given)
        if found.pool:
            self.turns[found.pool] = self.turned[found.pool] = found.turn
        self.given.append(given)
        self._note("lead_reassigned" if moved else "lead_assigned", row, given)
        key = (given.entity_id, given.number)
        self.timers.open(TimerKind.FIRST_TOUCH, *key, given.rule, given.lane, given.person, self.now)

    def _had(self, row: LeadRow) -> None:
        """Note that somebody has a lead now."""
        self.timers.end(TimerKind.ASSIGNMENT, row.entity_id, 0, max(self.now, row.lead_time))

    def _set(self, row: LeadRow) -> None:
        """Keep a row, and count whose load it is."""
        held = self.rows.get(row.entity_id)
        if held is not None and held.state in LOADING:
            self.loads[held.person] -= 1
        if row.state in LOADING:
            self.loads[row.person] += 1
        self.rows[row.entity_id] = self.changed[row.entity_id] = row

    def _note(self, action: str, before: LeadRow, after: LeadRow) -> None:
        field_name = self.routing.owner_of(after.object) or "owner"
        changes = (
            {
                "field": field_name,
                "before": before.person or None,
                "after": after.person or None,
                "rule": after.rule,
            },
            {"field": "reason", "before": before.reason or None, "after": after.reason, "rule": after.pool},
        )
        self.notes.append(Note(action, after.home_id, changes))


def _claim(row: LeadRow, said: RecordState | None, shown: Chosen | None) -> tuple[Any, ...]:
    """Return how strongly a row stands for an entity: whose word the owner is, who lives, who is newest."""
    facts = said.fields.values() if said else ()
    wins = shown is not None and any(fact.event_key == shown.event_key for fact in facts)
    newest = row.assign_time or row.lead_time
    return (wins, row.state is not LeadState.ENDED and bool(row.person), newest, str(row.entity_id))


def _concerns(scope: Scope, row: LeadRow) -> bool:
    return scope == "all" or (scope == "untouched" and row.untouched)
