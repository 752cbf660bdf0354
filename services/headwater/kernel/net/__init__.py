"""Where this process may connect to, when the address comes from somebody else.

Everything that takes a URL from a tenant (webhooks, enrichment, base URLs) judges it here: `reach` decides, `resolving`
asks the name service once and hands out checked addresses only.
"""

from headwater.kernel.net.reach import PUBLIC, Reach, UrlRefused, check_url, reach_named, reach_of, why_not
from headwater.kernel.net.resolving import AddressRefused, NameUnknown, checked_addresses

__all__ = [
    "PUBLIC",
    "AddressRefused",
    "NameUnknown",
    "Reach",
    "UrlRefused",
    "check_url",
    "checked_addresses",
    "reach_named",
    "reach_of",
    "why_not",
]
