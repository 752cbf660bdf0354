"""What sync needs of others, in its own words."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

from headwater.policy.document import PolicyDocument
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import Subject


class Resolver(Protocol):
    """Places records: the identity service."""

    async def resolve(
        self, tenant_id: str, subjects: Sequence[tuple[Subject, uuid.UUID]]
    ) -> Mapping[RecordKey, uuid.UUID]:
        """Return the entity of every subject (with the event that brought it); unmatched ones are absent.

        Raises: Unavailable when identity cannot be reached within its deadline.
        """
        ...


class Policies(Protocol):
    """The policies in force."""

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy, as last read."""
        ...


class Secrets(Protocol):
    """Where credentials come from."""

    def read(self, reference: str) -> Mapping[str, str]:
        """Return the JSON object that *reference* (`env:NAME`) names.

        Raises: InvalidInput when it is missing or is no JSON object of texts.
        """
        ...
