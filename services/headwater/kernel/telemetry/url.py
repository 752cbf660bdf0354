"""What of a URL may stand on a span: where the call went, without what it carried.

Pure. Credentials, query and fragment are left out, and so is a path segment that holds an address.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

REDACTED: Final = "REDACTED"
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def server_of(url: str) -> tuple[str, int]:
    """Return host and port of a URL; ("", 0) where it has none."""
    try:
        parts = urlsplit(url)
        return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return "", 0


def url_for_span(url: str) -> str:
    """Return scheme, host, port and path; a segment with an `@` becomes REDACTED; "" for what is no URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if ":" in host:
        host = f"[{host}]"
    place = f"{host}:{port}" if port else host
    path = "/".join(REDACTED if "@" in unquote(segment) else segment for segment in parts.path.split("/"))
    return f"{parts.scheme}://{place}{path}"
