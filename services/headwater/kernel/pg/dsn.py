"""Which PostgreSQL a command or service uses. Owns the choice and the version rule; starts nothing.

`HEADWATER_DATABASE_URL` names any server from version 15 on; without it the embedded one is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

from headwater.kernel.pg.errors import DatabaseUnsupported

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headwater.kernel.pg.pool import Connection

DATABASE_URL_VARIABLE: Final = "HEADWATER_DATABASE_URL"

SERVER_MAJOR_MIN: Final = 15
"""Oldest major version supported: MERGE, UNIQUE NULLS NOT DISTINCT; the oldest that CI runs."""


def database_url(environment: Mapping[str, str]) -> str | None:
    """The server that the environment names, or None: use the embedded one.

    Raises:
        ValueError: set, but no `postgresql://` URL. The value is not shown: it may hold a password.
    """
    value = environment.get(DATABASE_URL_VARIABLE, "").strip()
    if not value:
        return None
    if urlsplit(value).scheme not in {"postgresql", "postgres"}:
        raise ValueError(f"{DATABASE_URL_VARIABLE} must be a URL that starts with postgresql://")
    return value


def with_database(url: str, database: str) -> str:
    """The same server, another database."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    # Not urlunsplit: it drops the empty authority of a URL that names its server by ?host=/directory.
    return f"{parts.scheme}://{parts.netloc}/{database}{query}"


def masked(url: str) -> str:
    """The URL as it may be printed: without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


def check_version(connection: Connection) -> None:
    """Refuse a server older than `SERVER_MAJOR_MIN`."""
    version = connection.get_server_version()
    if version.major < SERVER_MAJOR_MIN:
        raise DatabaseUnsupported(f"{version.major}.{version.minor}", SERVER_MAJOR_MIN)
