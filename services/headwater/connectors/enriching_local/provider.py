"""Works out what is known without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping

from headwater.connectors.base import CallGate
from headwater.connectors.base.enriching import EnricherAccount, Proposal, Proposed
from headwater.connectors.enriching_local.derive import derive
from headwater.kernel.errors import InvalidInput
from headwater.kernel.ids import ObjectName


class LocalKind:
    """What needs no network."""

    name = "local"
    calls = False
    evidence = "libraries' tables"

    def open(self, account: EnricherAccount, gate: CallGate) -> LocalProvider:  # noqa: ARG002 - makes no calls
        """Return the provider; see the port."""
        if account.options:
            raise InvalidInput("the local kind has no options", reason="UNKNOWN_OPTION")
        return LocalProvider(account.personal_domains)


class LocalProvider:
    """The provider: pure but for its form."""

    def __init__(self, personal_domains: frozenset[str]) -> None:
        self._personal = personal_domains

    async def ask(self, object_name: ObjectName, inputs: Mapping[str, str]) -> Proposed:  # noqa: ARG002 - alike for all
        """Return what the inputs say; see the port."""
        found = derive(inputs, self._personal)
        return Proposed({word: Proposal(value, confidence) for word, (value, confidence) in found.items()})

    async def aclose(self) -> None:
        """Do nothing: there are no connections."""
