"""Owns the conversion of leads, which Salesforce offers in SOAP alone: `convertLead` of the partner API.

Source: SOAP API Developer Guide, convertLead(): an account and a contact are made of the lead, or the named ones taken;
the lead stays, read-only, with the ids of what it became. Custom fields go along only where an administrator has
mapped them; nobody has here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headwater.sandbox.salesforce import rows
from headwater.sandbox.salesforce.describe import sobjects
from headwater.sandbox.salesforce.errors import RowError
from headwater.sandbox.salesforce.values import stamp
from headwater.sandbox.store.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.sandbox.desk import Desk

_KEPT = ("FirstName", "LastName", "Email", "Phone", "MobilePhone", "Title")
"""Standard fields of a lead that its contact takes."""


def convert(desk: Desk, given: Mapping[str, str]) -> Record | RowError:
    """Convert the lead `leadId` and return it; `accountId` and `contactId` name records that are there already."""
    kinds = sobjects()
    lead = rows.find(desk, kinds["Lead"], given.get("leadId", ""))
    if isinstance(lead, RowError):
        return lead
    if lead.fields.get("IsConverted"):
        return RowError("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
    account = _taken(desk, "Account", given.get("accountId", ""), {"Name": lead.fields.get("Company")})
    if isinstance(account, RowError):
        return account
    person = {name: lead.fields[name] for name in _KEPT if name in lead.fields}
    contact = _taken(desk, "Contact", given.get("contactId", ""), {**person, "AccountId": account.record_id})
    if isinstance(contact, RowError):
        return contact
    now = stamp(desk.call.now_ms)
    became = {"ConvertedAccountId": account.record_id, "ConvertedContactId": contact.record_id}
    marks: dict[str, Any] = {"IsConverted": True, "ConvertedDate": now[:10], **became}
    marks["Status"] = given.get("convertedStatus") or lead.fields.get("Status")
    stamps = {"LastModifiedDate": now, "SystemModstamp": now}
    return desk.update(lead, {**lead.fields, **marks}, kinds["Lead"].lookups, stamps=stamps)


def _taken(desk: Desk, name: str, record_id: str, fields: dict[str, Any]) -> Record | RowError:
    kind = sobjects()[name]
    return rows.find(desk, kind, record_id) if record_id else rows.insert(desk, kind, fields)
