"""What a run of callers says at its end: requests, methods, principals, codes, findings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.fuzz.callers.people import DENIED, UNKNOWN, Caller
from tests.fuzz.reporting import Report


@dataclass(frozen=True, slots=True)
class Told:
    """What a run came to.

    Args:
        methods: paths of those that were to be asked.
        people: everybody who called.
        tally: requests by caller's name and code.
    """

    report: Report
    methods: Sequence[str]
    people: Sequence[Caller]
    tally: Mapping[tuple[str, str], int]

    @property
    def codes(self) -> Counter[str]:
        """Answers by code."""
        found: Counter[str] = Counter()
        for (_, code), count in self.tally.items():
            found[code] += count
        return found

    @property
    def unasked(self) -> list[str]:
        """Methods that no request was of."""
        asked = {name.split()[0] for name in self.report.codes}
        return sorted(path for path in self.methods if path.rsplit("/", 1)[1] not in asked)

    @property
    def clean(self) -> bool:
        """Whether nothing was found, and every method and caller had its turn."""
        return self.report.clean and not self.unasked and len(self._asked_of()) == len(self.people)

    def lines(self) -> list[str]:
        """Return all of it as text for people."""
        known, callers = sum(one.is_known for one in self.people), len(self._asked_of())
        asked = len(self.methods) - len(self.unasked)
        head = [
            f"{asked} of {len(self.methods)} methods, {callers} of {len(self.people)} principals ({known} good)",
            "",
            "answers, by code",
            *(f"  {count:>9,} {code}" for code, count in self.codes.most_common()),
            "",
            "principals",
            *(f"  {self._line(one)}" for one in self.people),
            "",
        ]
        return head + self.report.lines()

    def facts(self) -> dict[str, Any]:
        """Return it for a machine."""
        return {
            "requests": self.report.requests,
            "seconds": self.report.seconds,
            "methods": len(self.methods),
            "unasked": self.unasked,
            "principals": len(self.people),
            "codes": dict(self.codes.most_common()),
            "codes_by_method": dict(sorted(self.report.codes.items())),
            "findings": dict(self.report.breaches.most_common()),
            "notes": self.report.notes,
        }

    def _asked_of(self) -> set[str]:
        return {name for name, _ in self.tally}

    def _line(self, one: Caller) -> str:
        mine = {code: count for (name, code), count in self.tally.items() if name == one.name}
        who = f"{len(one.scopes)} scopes for {' and '.join(one.tenants)}" if one.is_known else "not believed"
        told = sum(mine.values())
        return (
            f"{one.name:<15} {who:<32} {told:>9,} asked, {mine.get('OK', 0):>7,} OK,"
            f" {mine.get(DENIED, 0):>9,} denied, {mine.get(UNKNOWN, 0):>9,} unknown"
        )
