"""The policies in force, read from the log through ingest's published function."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from headwater.policy.document import PolicyDocument
from headwater.policy.parsing import PolicyRefused
from headwater.policy.staging import load_event
from headwater.sync.ports import EventLog

_log = logging.getLogger(__name__)


class LogPolicies:
    """Policies by tenant; a version that this release cannot read leaves the one before in force."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._keys: dict[str, uuid.UUID] = {}
        self._documents: dict[str, PolicyDocument] = {}

    def current(self) -> Mapping[str, PolicyDocument]:
        """Return tenant to policy, as last read."""
        return MappingProxyType(self._documents)

    async def refresh(self) -> bool:
        """Read the newest versions; return whether any has changed."""
        changed = False
        for tenant_id, event_key, payload in await self._log.current_policies():
            if self._keys.get(tenant_id) == event_key:
                continue
            self._keys[tenant_id] = event_key
            try:
                self._documents[tenant_id] = load_event(msgspec.json.decode(payload))
            except (PolicyRefused, KeyError, msgspec.DecodeError):
                _log.exception("policy of tenant %s cannot be read: the one before stays", tenant_id)
                continue
            changed = True
        return changed
