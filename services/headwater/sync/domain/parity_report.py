"""What a run of reconciliation found, in numbers: by object, kind of drift and field. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from headwater.sync.domain.reconciling import Drift, Verdict

EXAMPLES_MAX: Final = 20
"""Drifts of an object that a report names; the others are in the list of drift."""


class FieldParity(msgspec.Struct):
    """Of one CRM field: records whose field was compared, and those in which it differs."""

    compared: int = 0
    drifted: int = 0


class ObjectParity(msgspec.Struct):
    """Of one object of a CRM.

    Args:
        records: that the CRM has, told or counted.
        read: records that were read.
        proven: records whose range was proven unchanged.
        ranges, ranges_read: leaves, and those that were read.
        incomplete: ranges of which fewer records were told than counted.
        excluded: why records were not compared, to their number.
        drift: kind to number.
        crm_hash: of everything that the CRM showed of the object when it was read last.
    """

    records: int = 0
    read: int = 0
    proven: int = 0
    ranges: int = 0
    ranges_read: int = 0
    incomplete: int = 0
    calls: int = 0
    excluded: dict[str, int] = {}
    drift: dict[str, int] = {}
    fields: dict[str, FieldParity] = {}
    examples: list[dict[str, Any]] = []
    crm_hash: str = ""

    @property
    def drifted(self) -> int:
        """Records that differ."""
        return sum(self.drift.values())

    @property
    def parity(self) -> float:
        """Share of records that agree, of those that both sides may have; 1 where there are none."""
        total = max(self.records + self.drift.get("missing", 0) + self.drift.get("ended", 0), self.drifted)
        return 1.0 - self.drifted / total if total else 1.0

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Take in what comparing records came to, drift aside: that counts once it is confirmed."""
        excluded = Counter(self.excluded)
        for verdict in verdicts:
            if verdict.excluded is not None:
                excluded[verdict.excluded.value] += 1
            for name in verdict.compared:
                self.fields.setdefault(name, FieldParity()).compared += 1
        self.excluded = dict(excluded)

    def add(self, drifts: Sequence[Drift]) -> None:
        """Take in confirmed drift."""
        for item in drifts:
            self.drift[item.kind.value] = self.drift.get(item.kind.value, 0) + 1
            for one in item.fields:
                self.fields.setdefault(one.field, FieldParity()).drifted += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(
                    {
                        "kind": item.kind.value,
                        "crm_id": item.crm_id,
                        "entity_id": str(item.entity_id or ""),
                        "fields": msgspec.to_builtins(item.fields),
                    }
                )


class DailyReport(msgspec.Struct):
    """Of one run of the daily parity of an account.

    Args:
        healed, repaired, asked: drifts of this account that ended, were repaired, or wait for a person, in this run.
    """

    objects: dict[str, ObjectParity] = {}
    calls: int = 0
    healed: int = 0
    repaired: int = 0
    asked: int = 0
    dry: bool = False
    whole: bool = False

    @property
    def parity(self) -> float:
        """Share of records that agree, of all objects."""
        records = sum(item.records for item in self.objects.values())
        drifted = sum(item.drifted for item in self.objects.values())
        total = max(records, drifted)
        return 1.0 - drifted / total if total else 1.0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values, with what follows from its numbers."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told["parity"] = self.parity
        for name, item in self.objects.items():
            told["objects"][name]["parity"] = item.parity
        return told


def read_daily(held: Mapping[str, Any] | None) -> DailyReport:
    """Return a report as it was kept."""
    return msgspec.convert(dict(held or {}), DailyReport)
