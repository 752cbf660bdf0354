"""The port between enrichment and a provider: values of an entity in, proposed values out.

A kind of provider is a package with the attribute `KIND: EnricherKind`, found by the entry point group
`headwater.enrichers`. It knows the provider's words; `sync` knows when to ask, budgets, limits, retries, and what
becomes of the values.

    CallFailed   no answer; its ErrorClass says what follows:
                 RATE_LIMIT, QUOTA             asked later
                 TIMEOUT, NETWORK, SERVER      the next provider is asked, this one again later
                 AUTH, PERMISSION, FORMAT      a person has to act
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Final, Protocol, cast

from headwater.connectors.base.port import Account, CallGate
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import ObjectName

ENRICHERS: Final = "headwater.enrichers"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value that a provider proposes.

    Args:
        value: text, number or boolean.
        confidence: 0..1; 1 where the provider states none.
    """

    value: Any
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Proposed:
    """An answer.

    Args:
        values: by the provider's names; empty: it knows nothing.
        reference: the provider's own name of the answer, for questions to its support; "" where it has none.
    """

    values: Mapping[str, Proposal]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class EnricherAccount:
    """One provider as the policy describes it.

    Args:
        account: name, base URL, secret, time limit.
        options: settings of the kind.
        personal_domains: domains of private mailboxes, which say nothing of a company.
    """

    account: Account
    options: Mapping[str, str] = field(default_factory=dict)
    personal_domains: frozenset[str] = frozenset()


class Enricher(Protocol):
    """One provider; asked by one process, about several entities side by side."""

    async def ask(self, object_name: ObjectName, inputs: Mapping[str, str]) -> Proposed:
        """Return what the provider knows of an entity.

        Args:
            inputs: the provider's names to values; 1..16, never empty texts.

        Raises: CallFailed.
        Cancellation: the call may be counted by the provider.
        """
        ...

    async def aclose(self) -> None:
        """Close connections; bounded, safe to call twice."""
        ...


class EnricherKind(Protocol):
    """A kind of provider: what it needs, and how to open one."""

    name: str
    calls: bool
    """Whether it makes calls, which limits, breaker and credentials are for."""
    evidence: str
    """What it was proven against, as of a vendor."""

    def open(self, account: EnricherAccount, gate: CallGate) -> Enricher:
        """Return a provider; no I/O yet.

        Raises:
            InvalidInput: an option or the secret lacks something.
        """
        ...


def kind_names() -> tuple[str, ...]:
    """Return the names of all installed kinds, sorted."""
    return tuple(sorted(entry.name for entry in entry_points(group=ENRICHERS)))


def load_kind(name: str) -> EnricherKind:
    """Return the kind called *name*.

    Raises:
        InvalidInput: no installed package provides it.
    """
    for entry in entry_points(group=ENRICHERS, name=name):
        return cast("EnricherKind", entry.load())
    known = ", ".join(kind_names()) or "none"
    raise InvalidInput(f"kind {name!r} is not installed (known: {known})", reason="UNKNOWN_ENRICHER")
