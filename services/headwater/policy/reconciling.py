"""The part of the policy document about reconciliation: what must agree with the CRMs, how often that is looked at,
with which share of the quota, and what may be repaired without a person.

Owns the words and what must agree across them. What drift is, and what follows from it, is decided in `sync/domain`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from headwater.kernel.ids import ObjectName
from headwater.policy.faults import Fault, nearest
from headwater.policy.words import FieldName, Name, Part, Seconds, Share

if TYPE_CHECKING:
    from headwater.policy.document import PolicyDocument

Period = Annotated[float, Field(ge=60, le=31_536_000)]


class Critical(Part):
    """What of an object must agree."""

    fields: tuple[FieldName, ...] = ()
    """Canonical fields; empty: every mapped one."""


class Repairs(Part):
    """What follows from drift without a person; `ask`: nothing, it is listed until somebody decides."""

    field: Literal["redeliver", "ask"] = "redeliver"
    """A field that Headwater alone writes shows something else: it is written again."""
    stale: Literal["refetch", "ask"] = "refetch"
    """A record that is read shows what was never told: it is recorded as a poll would have, and the policy decides."""
    unrecorded: Literal["refetch", "ask"] = "refetch"
    """A record of an object that is read was never told at all."""
    ended: Literal["refetch", "ask"] = "refetch"
    """A record that is read is gone: its deletion is recorded, as a poll would have."""
    missing: Literal["recreate", "ask"] = "ask"
    """A record that is only written is gone: it is written anew."""


class Objectives(Part):
    """How much drift is borne, and for how long."""

    parity: Share = 0.999
    """Share of records that agree."""
    detect_s: Seconds = 90_000.0
    """From a change that nobody told to its detection: a day and an hour."""
    heal_s: Seconds = 3_600.0
    """From the detection to the end of the drift, where no person is asked."""


class Reconcile(Part):
    """How Headwater and the CRMs are compared."""

    critical: Annotated[dict[ObjectName, Critical], Field(min_length=1)]
    accounts: tuple[Name, ...] = ()
    """Empty: every account."""
    daily_s: Period = 86_400.0
    """Period of the parity of records."""
    weekly_s: Period = 604_800.0
    """Period of the consistency of activities and attribution."""
    monthly_s: Period = 2_592_000.0
    """Period of the review of schema and mappings."""
    quarterly_s: Period = 7_776_000.0
    """Period of the review of fields: which are used, and whether scopes and grants are wider."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Of what an account's limits allow, in each window and of the day, that reconciliation may use."""
    full_days: Annotated[float, Field(ge=0, le=365)] = 7.0
    """How old the last full reading of a range may be that shows no change; 0: every run reads everything."""
    sample_records: Annotated[int, Field(ge=0, le=100_000)] = 200
    """Records that a run reads, by chance, of ranges that show no change: one that differs has all of them read."""
    lag_s: Seconds = 900.0
    """A change in a CRM that is younger may still be told by a webhook or a poll: no drift yet."""
    missing_share_max: Share = 0.05
    """Share of an object's records above which all that are missing are asked about: rights that were taken away, or
    a wrong account, look like deletions."""
    repairs: Repairs = Repairs()
    repairs_max: Annotated[int, Field(ge=1, le=100)] = 3
    """Repairs of one drift that did not end it; then it is asked about."""
    objectives: Objectives = Objectives()

    def concerns(self, account: str) -> bool:
        """Return whether an account is compared."""
        return not self.accounts or account in self.accounts


def reconcile_faults(document: PolicyDocument) -> Iterator[Fault]:
    """Yield what is wrong with the section: names that nobody knows, and objects that no account has."""
    section = document.reconcile
    if section is None:
        return
    for name in section.accounts:
        if name not in document.connectors:
            message = f"{name!r} is not under connectors"
            yield Fault("reconcile.accounts", "known_account", message, nearest(name, document.connectors))
    for object_name, critical in section.critical.items():
        path = f"reconcile.critical.{object_name}"
        known = document.objects.get(object_name)
        if known is None:
            message = f"{object_name!r} is not under objects"
            yield Fault(path, "known_object", message, nearest(object_name, document.objects))
            continue
        for field in critical.fields:
            if field not in known.fields:
                message = f"{field!r} is not a field of {object_name}"
                yield Fault(f"{path}.fields", "known_field", message, nearest(field, known.fields))
        if not any(
            object_name in item.objects
            for name, item in document.connectors.items()
            if section.concerns(name)
        ):
            yield Fault(
                path, "compared_object", f"no account that is compared has a mapping of {object_name!r}"
            )
