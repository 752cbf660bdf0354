"""What Salesforce's headers say about limits. Pure.

Source: REST API Developer Guide, Limit Info Header: `api-usage=25/5000; per-app-api-usage=17/250(appName=x)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from headwater.connectors.base.http import retry_after_s
from headwater.connectors.base.port import LimitFacts

_USAGE: Final = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")


def read_limits(headers: Mapping[str, str]) -> LimitFacts:
    """Return what the headers of one answer (names in lower case) say."""
    usage = _USAGE.search(headers.get("sforce-limit-info", ""))
    return LimitFacts(
        daily_used=int(usage.group(1)) if usage else None,
        daily_limit=int(usage.group(2)) if usage else None,
        retry_after_s=retry_after_s(headers),
    )
