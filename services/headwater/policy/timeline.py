"""The parts of the policy document about activities: whom they concern, and what counts as a touch of a lead.

Owns the words and what must agree across them. Who is associated by what, and how credit is shared out, is decided
in `sync/domain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Field

from headwater.kernel.ids import ObjectName
from headwater.policy.faults import Fault, nearest
from headwater.policy.objects import ObjectPolicy
from headwater.policy.words import FieldName, Name, Part, Share, Text

if TYPE_CHECKING:
    from headwater.policy.document import PolicyDocument

SUMMARY_CHARS_MAX: Final = 1_024
"""The longest text of an activity that may go into a CRM: a summary, never a message (A13)."""
RAW_PARTS: Final = frozenset(
    {
        "attachment", "attachments", "audio", "body", "body_html", "body_text", "content", "html", "html_body",
        "mime", "raw", "recording", "text_body", "transcript", "transcription",
    }
)  # fmt: skip
"""What sources call the whole of a message or a conversation."""


class Confidences(Part):
    """How sure an association is, by the reason for it."""

    participant: Share = 1.0
    """A contact whose address took part, as the source's own record of that address is placed."""
    address: Share = 0.95
    """A contact that another source gives the same mailbox, aliases taken off."""
    account_of_contact: Share = 0.9
    """The account that an associated contact refers to."""
    deal_of_contact: Share = 0.9
    """A deal, open at the time, that refers to an associated contact."""
    domain: Share = 0.8
    """An account with the domain of a participant; shared out where several have it."""
    company_name: Share = 0.6
    """An account with the name that an associated contact gives as its company; shared out where several have it."""
    open_deal: Share = 0.7
    """Of the account's own confidence: a deal of it, open at the time; shared out among those that were open."""


class Timeline(Part):
    """Which fields say when an activity was, with whom and about what; and whom it is associated with."""

    time: FieldName = "occurred_at"
    kind: FieldName = "kind"
    subject: FieldName = "subject"
    participants: FieldName = "participants"
    actor: FieldName = "actor"
    """Who acted, where it is not the sender, organizer, caller or author among the participants."""
    status: FieldName = "status"
    message_id: FieldName = "message_id"
    thread_id: FieldName = "thread_id"
    references: FieldName = "references"
    """Ids of the messages that one answers, in one text with spaces between them."""
    contact_company: FieldName = "company"
    account_name: FieldName = "name"
    account_domain: FieldName = "website"
    """A domain, or a web address at it."""
    deal_stage: FieldName = "stage"
    deal_closed: tuple[Text, ...] = ()
    """Stages of deals that are not open any more."""
    deal_from: FieldName = "engage_date"
    deal_until: FieldName = "close_date"
    """When a closed deal was open: an activity is associated with it only in that time."""
    confidence: Confidences = Confidences()
    confidence_min: Share = 0.3
    """Associations below it are not made."""


class Touch(Part):
    """How an event of a source touches the lead or contact that it is about."""

    channel: Text
    """What is told of it, as `web form` or `paid search`."""
    detail: FieldName | None = None
    """Canonical field whose value is told as well, as the form or the campaign."""


class Attribution(Part):
    """Which events are touches, and how credit is shared out among them."""

    touches: Annotated[dict[Name, dict[Literal["lead", "contact"], Touch]], Field(min_length=1)]
    """System to object to what its events say. Each is kept as it was read when it came, whatever is changed here."""
    first: FieldName | None = None
    """Canonical field that gets the channel of the first touch; of objects that have it."""
    last: FieldName | None = None
    """The same of the last touch."""
    ends_share: Annotated[float, Field(ge=0, le=0.5)] = 0.4
    """Credit of the first and of the last touch each, by position; the others share the rest."""
    half_life_days: Annotated[float, Field(gt=0, le=3_650)] = 7.0
    """Time before the last touch in which credit halves, by time decay."""

    def touch_of(self, source: str, object_name: str) -> Touch | None:
        """Return what an event of *source* about *object_name* says; None when it is no touch."""
        named = self.touches.get(source)
        return None if named is None else named.get(object_name)  # type: ignore[call-overload]


def activity_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield what is wrong with timeline, attribution and activities: fields that nobody knows, and raw contents."""
    yield from _raw_faults(document)
    if document.timeline is not None:
        yield from _timeline_faults(document, document.timeline)
    if document.attribution is not None:
        yield from _attribution_faults(document, document.attribution)


def _raw_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield mappings by which more than a summary of an activity would be kept, or go into a CRM (A13)."""
    known = document.objects.get("activity")
    if known is None:
        return
    for name, system in document.systems.items():
        inbound = system.inbound.get("activity")
        for path in inbound.fields if inbound else ():
            if path.rpartition(".")[2].lower() in RAW_PARTS:
                place = f"systems.{name}.inbound.activity.fields.{path}"
                yield Fault(place, "raw_content", "raw contents are never read: map a summary, as a preview")
    for name, connector in document.connectors.items():
        for number, target in enumerate(connector.objects.get("activity", ())):
            place = f"connectors.{name}.objects.activity.{number}.fields"
            for crm_field, item in target.fields.items():
                held = known.fields.get(item.field or "")
                if held is not None and held.type == "text" and held.chars_max > SUMMARY_CHARS_MAX:
                    message = f"{item.field} may have {held.chars_max} characters: a summary has at most {SUMMARY_CHARS_MAX}"
                    yield Fault(f"{place}.{crm_field}", "summary_only", message)


def _timeline_faults(document: PolicyDocument, timeline: Timeline) -> Iterator[Fault]:
    known = document.objects.get("activity")
    if known is None:
        yield Fault("timeline", "known_object", "'activity' is not under objects")
        return
    types = {
        "time": ("datetime",),
        "participants": ("participants",),
        "kind": ("picklist", "text"),
    }
    for word, wanted in types.items():
        field = getattr(timeline, word)
        held = known.fields.get(field)
        if held is None:
            yield _unknown(f"timeline.{word}", field, "activity", known)
        elif held.type not in wanted:
            yield Fault(f"timeline.{word}", "field_type", f"{field} must be of type {' or '.join(wanted)}")
    yield from _stage_faults(document, timeline)


def _stage_faults(document: PolicyDocument, timeline: Timeline) -> Iterator[Fault]:
    deal = document.objects.get("deal")
    if not timeline.deal_closed or deal is None:
        return
    held = deal.fields.get(timeline.deal_stage)
    if held is None:
        yield _unknown("timeline.deal_stage", timeline.deal_stage, "deal", deal)
        return
    for stage in timeline.deal_closed:
        if held.allowed and stage not in held.allowed:
            message = f"{stage!r} is no value of deal.{timeline.deal_stage}"
            yield Fault("timeline.deal_closed", "allowed", message, nearest(stage, held.allowed))


def _attribution_faults(document: PolicyDocument, attribution: Attribution) -> Iterator[Fault]:
    for name, objects in attribution.touches.items():
        system = document.systems.get(name)
        if system is None:
            message = f"{name!r} is not under systems"
            yield Fault(
                f"attribution.touches.{name}", "known_system", message, nearest(name, document.systems)
            )
            continue
        for object_name, touch in objects.items():
            path = f"attribution.touches.{name}.{object_name}"
            known = document.objects.get(object_name)
            if object_name not in system.inbound or known is None:
                yield Fault(path, "mapped_object", f"{name} has no inbound mapping of {object_name!r}")
                continue
            if touch.detail is not None and touch.detail not in known.fields:
                yield _unknown(f"{path}.detail", touch.detail, object_name, known)
            yield from _told_faults(attribution, name, object_name, known)


def _told_faults(
    attribution: Attribution, system: str, object_name: ObjectName, known: ObjectPolicy
) -> Iterator[Fault]:
    for word, field, rule in (
        ("first", attribution.first, "first"),
        ("last", attribution.last, "most_recent"),
    ):
        held = known.fields.get(field or "")
        if held is None:
            continue
        if held.type != "text" or held.rule != rule:
            message = f"{object_name}.{field} must be a text with the rule {rule}"
            yield Fault(f"attribution.{word}", "touch_field", message)
        if system not in held.owners:
            message = f"{system} touches {object_name} and must be among the owners"
            yield Fault(f"objects.{object_name}.fields.{field}.owners", "touch_owner", message)


def _unknown(path: str, field: str, object_name: str, known: ObjectPolicy) -> Fault:
    message = f"{field!r} is not a field of {object_name}"
    return Fault(path, "known_field", message, nearest(field, known.fields))
