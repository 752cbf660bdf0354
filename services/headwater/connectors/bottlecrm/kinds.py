"""BottleCRM's objects: their native fields as its write serializers take them, and where answers keep them. Pure.

Source: BottleCRM 1.35.0 (PyPI `django-crm`), serializers of contacts, leads, accounts, opportunities and tasks. What a
write serializer does not know it passes over in silence, so what is not in these tables is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

FieldType = Literal["text", "word", "date", "decimal", "integer", "checkbox"]
"""`word` is text that BottleCRM stores empty, never null; `decimal` comes back as text."""

_ADDRESS: Final = ("address_line", "city", "state", "postcode", "country")


def _fields(
    *texts: str, words: str = "", dates: str = "", decimals: str = "", integers: str = "", flags: str = ""
) -> Mapping[str, FieldType]:
    kinds: dict[str, FieldType] = dict.fromkeys(texts, "text")
    more: tuple[tuple[str, FieldType], ...] = (
        (words, "word"),
        (dates, "date"),
        (decimals, "decimal"),
        (integers, "integer"),
        (flags, "checkbox"),
    )
    for names, kind in more:
        kinds |= dict.fromkeys(names.split(), kind)
    return MappingProxyType(kinds)


@dataclass(frozen=True, slots=True)
class Kind:
    """One object.

    Args:
        name: in paths, and in policies.
        model: in custom fields and activities.
        lists: where pages keep their records, as paths of members; several where BottleCRM splits a list.
        fields: native fields that can be written.
        required: of these, what a new record must have.
        one: references that are fields, each one record.
        many: references that are lists of records.
        unique: the field whose value BottleCRM takes once, whatever its case; "" for none.
        listed_whole: whether rows of lists hold every field, custom ones included.
    """

    name: str
    model: str
    lists: tuple[tuple[str, ...], ...]
    fields: Mapping[str, FieldType]
    required: tuple[str, ...]
    one: tuple[str, ...] = ()
    many: tuple[str, ...] = ()
    unique: str = ""
    listed_whole: bool = True
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def references(self) -> tuple[str, ...]:
        """All references, by name."""
        return (*self.one, *self.many)


_ALL: Final = (
    Kind(
        name="contacts",
        model="Contact",
        lists=(("results",),),
        fields=_fields(
            "email", "phone", "organization", "title", "department", "linkedin_url", *_ADDRESS, "description",
            words="first_name last_name source source_detail source_ref", flags="do_not_call is_active",
        ),
        required=("first_name", "last_name"),
        one=("account",),
        unique="email",
    ),
    Kind(
        name="leads",
        model="Lead",
        lists=(("open_leads", "open_leads"), ("close_leads", "close_leads")),
        fields=_fields(
            "title", "salutation", "first_name", "last_name", "email", "phone", "job_title", "website", "linkedin_url",
            "status", "source", "industry", "rating", "currency", *_ADDRESS, "description", "company_name",
            words="source_detail source_ref", dates="close_date last_contacted next_follow_up",
            decimals="opportunity_amount", integers="probability",
        ),
        required=(),
        many=("contacts",),
        unique="email",
    ),
    Kind(
        name="accounts",
        model="Account",
        lists=(("active_accounts", "open_accounts"), ("closed_accounts", "close_accounts")),
        fields=_fields(
            "email", "phone", "website", "industry", "currency", *_ADDRESS, "description",
            words="name", decimals="annual_revenue", integers="number_of_employees", flags="is_active",
        ),
        required=("name",),
        many=("contacts",),
        unique="name",
    ),
    Kind(
        name="opportunities",
        model="Opportunity",
        lists=(("opportunities",),),
        fields=_fields(
            "opportunity_type", "currency", "lead_source", "description",
            words="name stage pipeline source_detail source_ref", dates="closed_on", decimals="amount",
            integers="probability", flags="is_active",
        ),
        required=("name",),
        one=("account",),
        many=("contacts",),
        unique="name",
    ),
    Kind(
        name="tasks",
        model="Task",
        lists=(("tasks",),),
        fields=_fields("description", words="title status priority", dates="due_date"),
        required=("title", "status", "priority"),
        one=("account", "opportunity", "lead"),
        many=("contacts",),
        listed_whole=False,
        extra=MappingProxyType({"slim": "true"}),
    ),
)  # fmt: skip

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in _ALL})
