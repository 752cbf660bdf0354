"""Finding signature schemes by entry point, so that a connector's package brings its vendor's own."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Final, cast

from headwater.connectors.base.webhooks.hmac_sha256 import HmacSha256
from headwater.connectors.base.webhooks.port import MakeScheme
from headwater.connectors.base.webhooks.standard import StandardWebhooks
from headwater.kernel.errors import InvalidInput

GROUP: Final = "headwater.webhook_schemes"

_OURS: Final[dict[str, MakeScheme]] = {"standard-webhooks": StandardWebhooks, "hmac-sha256": HmacSha256}
"""Of no vendor; known without an installed distribution, and not to be replaced by one."""


def scheme_names() -> tuple[str, ...]:
    """Return the names of all schemes at hand, sorted."""
    return tuple(sorted({*_OURS, *(entry.name for entry in entry_points(group=GROUP))}))


@cache
def load_scheme(name: str) -> MakeScheme:
    """Return the scheme called *name*.

    Raises:
        InvalidInput: no installed package provides it.
    """
    if name in _OURS:
        return _OURS[name]
    for entry in entry_points(group=GROUP, name=name):
        return cast("MakeScheme", entry.load())
    known = ", ".join(scheme_names())
    raise InvalidInput(f"webhook scheme {name!r} is not installed (known: {known})", reason="UNKNOWN_SCHEME")
