"""What a run counted, and what it found: one finding kept of each kind."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tests.fuzz.findings import Finding
from tests.fuzz.methods import Request

EXAMPLES_MAX: Final = 3
"""Requests kept of each kind of finding."""
_VARYING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|'[^']*'|\d+")


@dataclass(slots=True)
class Report:
    """The figures of one run."""

    requests: int = 0
    events: int = 0
    seconds: float = 0.0
    codes: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Breaches that hang on no single request: a log line, a crash, a count that is off."""

    @property
    def clean(self) -> bool:
        """Tell whether nothing was found."""
        return not self.breaches and not self.notes

    def count(self, request: Request, code: str, events: int) -> None:
        """Count an answered request."""
        self.requests += 1
        self.events += events
        self.codes[f"{request.method.name} {code}"] += 1

    def found(self, request: Request, breach: str) -> bool:
        """Keep a finding, unless there are enough of its kind; returns whether it is the first of it."""
        kind = f"{request.method.name}: {_VARYING.sub('#', breach)}"
        self.breaches[kind] += 1
        if self.breaches[kind] <= EXAMPLES_MAX:
            self.findings.append(Finding(request.method.name, request.wire, breach, request.method.service))
        return self.breaches[kind] == 1

    def lines(self) -> list[str]:
        """Return the report as text for people."""
        rate = self.requests / self.seconds if self.seconds else 0.0
        head = (
            f"{self.requests} requests, {self.events} outcomes, {self.seconds:.1f} s, {rate:.0f} requests/s"
        )
        codes = [f"  {count:>9} {code}" for code, count in sorted(self.codes.items())]
        breaches = [f"  {count:>9} {kind}" for kind, count in self.breaches.most_common()]
        verdict = (
            "nothing found" if self.clean else f"FOUND: {len(self.breaches)} kinds, {len(self.notes)} notes"
        )
        examples = [f"  {finding.method} {finding.wire.hex()}" for finding in self.findings]
        return [head, *breaches, *(f"  {note}" for note in self.notes), verdict, *examples, *codes]
