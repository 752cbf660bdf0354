"""What identities that do not say it themselves may do: a file of identity -> roles, scopes, tenants.

For certificates of another authority (SPIRE, a company's own) and for subjects of an identity provider. An entry
stands above what a certificate says of itself: one without roles shuts its identity out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from headwater.kernel.errors import InvalidInput, StartRefused
from headwater.kernel.security.files import read_file
from headwater.kernel.security.scopes import scopes_of

VARIABLE: Final = "HEADWATER_GRANTS_FILE"


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    roles: list[str] = []
    scopes: list[str] = []
    tenants: list[str] = []


class Grant(msgspec.Struct, frozen=True):
    """What one identity may do, and for whom."""

    scopes: frozenset[str]
    tenants: frozenset[str]


def read_grants(path: Path) -> Mapping[str, Grant]:
    """Return the grants on file by identity.

    Raises:
        StartRefused: the file cannot be read, or names a role or a scope that there is not.
    """
    try:
        found = msgspec.json.decode(read_file(path, VARIABLE), type=dict[str, _Entry])
        return {
            identity: Grant(scopes_of(entry.roles, entry.scopes), frozenset(entry.tenants))
            for identity, entry in found.items()
        }
    except (msgspec.MsgspecError, InvalidInput) as error:
        raise StartRefused(f"{VARIABLE}={str(path)!r}: {error}", reason="SECURITY") from error
