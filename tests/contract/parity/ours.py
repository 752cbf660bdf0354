"""One operation of ours that is compared with the vendor's own client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headwater.connectors.base.http import Request


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Args:
        name: as the driver of the client calls it.
        proves: what it is evidence of.
        headers: that the connector sends with every request.
        adds: what ours has besides, in every operation of a batch: `query` pairs and `headers`.
    """

    name: str
    proves: str
    request: Request
    headers: Mapping[str, str] = field(default_factory=dict)
    adds: Mapping[str, Any] = field(default_factory=dict)
    token: str = "t"
