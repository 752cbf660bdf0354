"""Checks of identity's requests, on top of those that every service makes alike. Pure."""

from __future__ import annotations

import re
from typing import Final

from headwater.event.v1 import event_pb2
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordRef
from headwater.kernel import ids
from headwater.kernel.rpc import checks

SEQ_MAX: Final = 2**63 - 1
CANDIDATES: Final = "merge_candidates"
"""The one list of identity that has pages."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def sound_ref(ref: event_pb2.RecordRef) -> RecordRef | None:
    """Return a record's name, None where it breaks a rule that `Checks.record` names."""
    source, name, external_id = ref.source, ref.object, ref.external_id
    if not ids.SOURCE_PATTERN.fullmatch(source) or name not in ids.OBJECTS:
        return None
    if not 0 < len(external_id) <= ids.EXTERNAL_ID_CHARS_MAX or _CONTROL.search(external_id):
        return None
    return RecordRef(source, name, external_id)


class Checks(checks.Checks):
    """Collects violations; `finish` raises them all."""

    def object_name(self, field: str, value: str) -> str:
        """Check a canonical object."""
        if value not in ids.OBJECTS:
            self.broken(field, value, "allowed" if value else "required", f"one of {', '.join(ids.OBJECTS)}")
        return value

    def record(self, field: str, ref: event_pb2.RecordRef) -> RecordRef:
        """Check a record's name."""
        if not ids.SOURCE_PATTERN.fullmatch(ref.source):
            rule = "format.source" if ref.source else "required"
            self.broken(f"{field}.source", ref.source, rule, "1..63 of [a-z0-9_.-], first a letter")
        self.object_name(f"{field}.object", ref.object)
        external_id = ref.external_id
        if not external_id:
            self.broken(f"{field}.external_id", "", "required", "the source's own id of the record")
        elif len(external_id) > ids.EXTERNAL_ID_CHARS_MAX:
            self.broken(f"{field}.external_id", external_id, "max_length", "at most 255 characters")
        elif _CONTROL.search(external_id):
            self.broken(f"{field}.external_id", repr(external_id), "no_control_characters", "printable only")
        return RecordRef(ref.source, ref.object, external_id)

    def actor(self, field: str, actor: event_pb2.Actor) -> Actor:
        """Check who acts: a known type and an id."""
        if actor.type not in event_pb2.ActorType.values():
            self.broken(f"{field}.type", str(actor.type), "allowed", "a known type of actor")
        if not actor.id:
            self.broken(f"{field}.id", "", "required", "who merges or splits, for the audit")
        self.text(f"{field}.id", actor.id, required=False)
        self.text(f"{field}.display_name", actor.display_name, required=False)
        return Actor(actor.type, actor.id, actor.display_name)

    def candidates_from(self, value: str) -> int:
        """Check where a page of candidates begins; 0 is the beginning."""
        place = self.page_token(value, CANDIDATES, 1)
        if place is None:
            return 0
        seq = int(place[0]) if place[0].isdecimal() else -1
        if not 0 <= seq <= SEQ_MAX:
            self.broken_token(value)
            return 0
        return seq


def candidates_token(seq: int | None) -> str:
    """Return the token of the page that begins after *seq*; empty when there is none."""
    return "" if seq is None else checks.write_page_token(CANDIDATES, [str(seq)])
