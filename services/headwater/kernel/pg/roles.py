"""The roles of the database: who owns the tables, and as whom each service works. Owns their names and their making.

    <prefix>_owner             owns schemas, tables and functions; migrations run as it, nobody logs in as it
    <prefix>_<service>         a service's own work, for every tenant: what its statements take, and nothing it owns
    <prefix>_<service>_tenant  a call for one tenant: row level security shows it that tenant's rows alone

Roles belong to the whole server: databases that name the same prefix share them, and any number of migrators may make
them at once. Which databases are walled off is written beside each schema (`access`), so that a service needs no
setting to find its role.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

import asyncpg

from headwater.kernel.pg import queries
from headwater.kernel.pg.errors import RolesMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from headwater.kernel.pg.pool import Connection

RolesMode = Literal["auto", "required", "off"]

MODE_VARIABLE: Final = "HEADWATER_DATABASE_ROLES"
PREFIX_VARIABLE: Final = "HEADWATER_DATABASE_ROLE_PREFIX"
PREFIX_DEFAULT: Final = "headwater"
_PREFIX: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""Longest name: 63 bytes, with the longest suffix."""

ROUNDS_MAX: Final = 20
"""Looks at what is missing; each round but the last is one in which another migrator was faster."""

_SQL = queries.load("headwater.kernel.pg", "roles.sql")
_log = logging.getLogger(__name__)

_OVERTAKEN: Final = (
    asyncpg.DuplicateObjectError,
    asyncpg.UniqueViolationError,
    asyncpg.InternalServerError,  # "tuple concurrently updated": another migrator grants the same
)


@dataclass(frozen=True, slots=True)
class Roles:
    """Names of the roles that share a prefix."""

    prefix: str

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            message = f"{PREFIX_VARIABLE}={self.prefix!r}: a lower case letter, then up to 31 of [a-z0-9_]"
            raise ValueError(message)

    @property
    def owner(self) -> str:
        """Who owns everything."""
        return f"{self.prefix}_owner"

    def service(self, service: str) -> str:
        """As whom a service does its own work."""
        return f"{self.prefix}_{service}"

    def tenant(self, service: str) -> str:
        """As whom a service serves a call for one tenant."""
        return f"{self.prefix}_{service}_tenant"


@dataclass(frozen=True, slots=True)
class FoundRoles:
    """The roles that a service finds in its database.

    Args:
        may_own: whether its user may act as the owner too, for what only an owner may: see `pool.as_owner`.
    """

    roles: Roles
    may_own: bool


@dataclass(frozen=True, slots=True)
class RolesWanted:
    """What an operator wants of roles.

    Args:
        mode: auto makes and uses them where the user may, and says so where not; required refuses instead; off
            leaves everything to the one user of the URL.
    """

    mode: RolesMode = "auto"
    roles: Roles = Roles(PREFIX_DEFAULT)


def roles_wanted(environment: Mapping[str, str]) -> RolesWanted:
    """Read what the environment wants.

    Raises:
        ValueError: names the variable, its value and the rule it breaks.
    """
    mode = environment.get(MODE_VARIABLE, "").strip() or "auto"
    prefix = environment.get(PREFIX_VARIABLE, "").strip() or PREFIX_DEFAULT
    if mode not in get_args(RolesMode):
        raise ValueError(f"{MODE_VARIABLE}={mode!r}: auto, required or off")
    return RolesWanted(cast("RolesMode", mode), Roles(prefix))


async def prepare_roles(
    connection: Connection, services: tuple[str, ...], wanted: RolesWanted
) -> Roles | None:
    """Make what is missing of the roles, and make the connected user a member of them; idempotent.

    Returns:
        The roles, None where they are not to be used; a warning then says what that means and what to do.

    Raises:
        RolesMissing: they are required, and the user may not make them.
    """
    if wanted.mode == "off":
        _log.warning("%s=off: %s", MODE_VARIABLE, WEAKER)
        return None
    roles = wanted.roles
    names = roles.owner, [roles.service(one) for one in services], [roles.tenant(one) for one in services]
    for _ in range(ROUNDS_MAX):
        missing = await connection.fetch(_SQL["write_missing_roles"].text, *names)
        try:
            await _run(connection, missing)
        except _OVERTAKEN:
            continue
        except asyncpg.InsufficientPrivilegeError as error:
            _do_without(wanted, [row["statement"] for row in missing if row["needed"]], error)
            return None
        return roles
    raise RolesMissing(f"roles {roles.prefix}_*: others change them again and again; try again")


async def _run(connection: Connection, missing: Iterable[asyncpg.Record]) -> None:
    for row in missing:
        try:
            await connection.execute(row["statement"])
        except asyncpg.InsufficientPrivilegeError:
            if row["needed"]:
                raise


WEAKER: Final = (
    "the user of the URL owns every table and sees every tenant's rows; row level security and least rights are not in "
    "force in this database"
)


HOW: Final = f"Run `headwater migrate` as a superuser or as a user with CREATEROLE; {MODE_VARIABLE}=off at migrating is to be taken back"


def _do_without(wanted: RolesWanted, statements: Sequence[str], error: Exception) -> None:
    how = "; ".join(statements)
    message = (
        f"the user of the URL may not make the database's roles ({error}). Let an administrator run: {how}; "
        "then run `headwater migrate` again"
    )
    if wanted.mode == "required":
        raise RolesMissing(message) from error
    _log.warning("%s. Until then %s", message, WEAKER)
