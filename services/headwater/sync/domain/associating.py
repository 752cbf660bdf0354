"""Whom an activity concerns: contacts, accounts and deals, each with how sure that is, and why. Pure.

Everything is computed from the activity and from what is known around it at the time of computing; nothing of an
earlier answer is used, so any order of events, merges and splits ends the same.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.policy.timeline import Timeline
from headwater.policy.values import PERSONAL_MAIL_DOMAINS

DOMAIN_LABELS_MIN: Final = 2
"""Labels of the shortest domain that may be a company's."""
DOMAIN_PARENTS_MAX: Final = 4
"""Domains above a participant's that are looked at."""
CONFIDENCE_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who took part.

    Args:
        address: lower-case, as the source has it.
        home: the contact that the source's own record of the address is placed in now; None where there is none.
    """

    role: str
    address: str
    name: str = ""
    home: uuid.UUID | None = None

    @property
    def mailbox(self) -> str:
        """The address without what its owner may add to it."""
        return mailbox_of(self.address)

    @property
    def domain(self) -> str:
        """The address's domain."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened, when and with whom, in the words of every source."""

    tenant_id: str
    activity_id: uuid.UUID
    kind: str
    source: str
    time: dt.datetime
    subject: str
    message_id: str
    thread_ids: tuple[str, ...]
    people: tuple[Person, ...]
    actor: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal, and when it was open."""

    entity_id: uuid.UUID
    stage: str = ""
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around some activities; every entity is one that stands for itself now.

    Args:
        by_mailbox: mailbox to the contacts that have it.
        accounts: contact to the accounts that it refers to.
        companies: contact to the name that it gives its company, as `name_of` writes it.
        by_domain: domain to accounts.
        by_name: name to accounts.
        deals: contact or account to the deals that refer to it.
    """

    by_mailbox: Mapping[str, Collection[uuid.UUID]] = field(default_factory=dict)
    accounts: Mapping[uuid.UUID, Collection[uuid.UUID]] = field(default_factory=dict)
    companies: Mapping[uuid.UUID, str] = field(default_factory=dict)
    by_domain: Mapping[str, Collection[uuid.UUID]] = field(default_factory=dict)
    by_name: Mapping[str, Collection[uuid.UUID]] = field(default_factory=dict)
    deals: Mapping[uuid.UUID, Collection[Deal]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Association:
    """One entity that an activity concerns."""

    entity_id: uuid.UUID
    object: str
    reason: str
    confidence: float


def associate(timeline: Timeline, activity: Activity, around: Around) -> tuple[Association, ...]:
    """Return whom *activity* concerns, by entity; of several reasons the surest, ties by its name."""
    contacts = _surest(_contacts(timeline, activity, around))
    accounts = _surest(_accounts(timeline, activity, around, contacts))
    deals = _surest(_deals(timeline, activity, around, contacts, accounts))
    found = (*contacts.values(), *accounts.values(), *deals.values())
    return tuple(sorted(item for item in found if item.confidence >= timeline.confidence_min))


def mailbox_of(address: str) -> str:
    """Return an address as every alias of it is written: lower-case, without what follows a plus sign."""
    local, at, domain = address.strip().lower().rpartition("@")
    return f"{local.partition('+')[0] or local}{at}{domain}"


def domain_of(text: str) -> str:
    """Return the domain of a web address, of a mail address or of itself; empty when it has none."""
    host = text.strip().lower().partition("://")[2] or text.strip().lower()
    host = host.partition("/")[0].partition("?")[0].rpartition("@")[2].partition(":")[0].strip(".")
    host = host.removeprefix("www.")
    return host if host.count(".") >= DOMAIN_LABELS_MIN - 1 and " " not in host else ""


def domains_of(domain: str) -> tuple[str, ...]:
    """Return the domains by which a participant's company may be known, its own first; none of private mailboxes."""
    if domain in PERSONAL_MAIL_DOMAINS:
        return ()
    labels = domain.split(".")
    found = (".".join(labels[start:]) for start in range(len(labels) - DOMAIN_LABELS_MIN + 1))
    return tuple(found)[:DOMAIN_PARENTS_MAX]


def name_of(text: str) -> str:
    """Return a company's name as it is compared: letters and digits, in lower case."""
    return " ".join("".join(part if part.isalnum() else " " for part in text.casefold()).split())


def was_open(timeline: Timeline, deal: Deal, time: dt.datetime) -> bool:
    """Tell whether a deal was open at *time*: begun, and not closed yet."""
    day = time.date().isoformat()
    if deal.start and day < deal.start[:10]:
        return False
    closed = deal.stage in timeline.deal_closed
    return not closed or bool(deal.end and day <= deal.end[:10])


def _surest(found: Iterable[Association]) -> dict[uuid.UUID, Association]:
    best: dict[uuid.UUID, Association] = {}
    for item in found:
        held = best.get(item.entity_id)
        if held is None or (-item.confidence, item.reason) < (-held.confidence, held.reason):
            best[item.entity_id] = item
    return best


def _contacts(timeline: Timeline, activity: Activity, around: Around) -> Iterator[Association]:
    sure = timeline.confidence
    for person in activity.people:
        if person.home is not None:
            yield Association(person.home, "contact", "participant", sure.participant)
        else:
            same = around.by_mailbox.get(person.mailbox, ())
            for entity_id in same:
                yield Association(entity_id, "contact", "address", _shared(sure.address, same))


def _accounts(
    timeline: Timeline, activity: Activity, around: Around, contacts: Mapping[uuid.UUID, Association]
) -> Iterator[Association]:
    sure = timeline.confidence
    for entity_id, contact in contacts.items():
        for account in around.accounts.get(entity_id, ()):
            yield Association(
                account, "account", "account_of_contact", _times(sure.account_of_contact, contact)
            )
        named = around.by_name.get(around.companies.get(entity_id, ""), ())
        for account in named:
            weight = _times(_shared(sure.company_name, named), contact)
            yield Association(account, "account", "company_name", weight)
    for domain in dict.fromkeys(person.domain for person in activity.people):
        having = next((held for one in domains_of(domain) if (held := around.by_domain.get(one))), ())
        for account in having:
            yield Association(account, "account", "domain", _shared(sure.domain, having))


def _deals(
    timeline: Timeline,
    activity: Activity,
    around: Around,
    contacts: Mapping[uuid.UUID, Association],
    accounts: Mapping[uuid.UUID, Association],
) -> Iterator[Association]:
    sure = timeline.confidence
    for entity_id, contact in contacts.items():
        for deal in around.deals.get(entity_id, ()):
            if was_open(timeline, deal, activity.time):
                weight = _times(sure.deal_of_contact, contact)
                yield Association(deal.entity_id, "deal", "deal_of_contact", weight)
    for entity_id, account in accounts.items():
        deals = [item for item in around.deals.get(entity_id, ()) if was_open(timeline, item, activity.time)]
        for deal in deals:
            weight = _times(_shared(sure.open_deal, deals), account)
            yield Association(deal.entity_id, "deal", "open_deal", weight)


def _shared(confidence: float, among: Collection[Any]) -> float:
    return round(confidence / len(among), CONFIDENCE_DIGITS)


def _times(confidence: float, above: Association) -> float:
    return round(confidence * above.confidence, CONFIDENCE_DIGITS)
