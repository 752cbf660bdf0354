"""Faults of the Postgres room. Owns the tree; must not import anything that raises it.

::

    PostgresFault
    ├── EmbeddedServerFault       the embedded server did not start, stop or become reachable
    ├── DatabaseUnsupported       the server is older than PostgreSQL 15
    ├── DurabilityRefused         the server may lose or tear what it acknowledged
    ├── RolesMissing              roles are required, and the user may not make or take on one
    ├── QueryFileFaulty           a file of named SQL breaks the format
    └── SchemaFault
        ├── MigrationFaulty       the migration files themselves are wrong (gap, duplicate, own COMMIT)
        ├── MigrationLockTimeout  another migrator held the lock for too long
        ├── SchemaBehind          the database lacks migrations that this release has
        ├── AccessFaulty          a table or function has no line in access.toml, or a line has no table
        ├── AccessBehind          the database's grants and policies are not this release's
        ├── SchemaAhead           the database has migrations that this release does not know
        └── SchemaDiffers         an applied migration is not the one in this release
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from headwater.kernel.pg.durability import DurabilityFinding


class PostgresFault(Exception):
    """Anything wrong with the database around the services; `reason` is stable and machine-readable."""

    reason: ClassVar[str] = "POSTGRES_FAULT"


class EmbeddedServerFault(PostgresFault):
    """The embedded server could not be started, stopped or reached."""

    reason = "EMBEDDED_SERVER"


class DatabaseUnsupported(PostgresFault):
    """The server is older than this release supports."""

    reason = "DATABASE_UNSUPPORTED"

    def __init__(self, found: str, required_major: int) -> None:
        super().__init__(f"PostgreSQL {required_major} or newer is needed, this server is {found}")
        self.found = found
        self.required_major = required_major


class DurabilityRefused(PostgresFault):
    """The server's settings would let it lose or tear acknowledged writes."""

    reason = "DURABILITY_REFUSED"

    def __init__(self, findings: tuple[DurabilityFinding, ...]) -> None:
        super().__init__("this Postgres may lose acknowledged writes: " + "; ".join(map(str, findings)))
        self.findings = findings


class RolesMissing(PostgresFault):
    """Roles are required, and the connected user may not make or take on one of them."""

    reason = "DATABASE_ROLES"


class QueryFileFaulty(PostgresFault):
    """A file of named SQL breaks the format."""

    reason = "QUERY_FILE_FAULTY"

    def __init__(self, file_name: str, line: int, complaint: str) -> None:
        super().__init__(f"{file_name}:{line}: {complaint}")
        self.file_name = file_name
        self.line = line
        self.complaint = complaint


class SchemaFault(PostgresFault):
    """A service's schema and this release do not fit."""

    reason = "SCHEMA_FAULT"

    def __init__(self, service: str, complaint: str) -> None:
        super().__init__(f"schema {service}: {complaint}")
        self.service = service


class MigrationFaulty(SchemaFault):
    """The migration files themselves are wrong."""

    reason = "MIGRATION_FAULTY"


class MigrationLockTimeout(SchemaFault):
    """Another migrator held the lock for longer than this one may wait."""

    reason = "MIGRATION_LOCK_TIMEOUT"


class SchemaBehind(SchemaFault):
    """The database lacks migrations that this release has."""

    reason = "SCHEMA_BEHIND"

    def __init__(self, service: str, applied: int, wanted: int) -> None:
        super().__init__(
            service, f"is at version {applied}, this release needs {wanted}: run `headwater migrate`"
        )
        self.applied = applied
        self.wanted = wanted


class AccessFaulty(SchemaFault):
    """What access.toml says and what the schema holds do not fit."""

    reason = "ACCESS_FAULTY"


class AccessBehind(SchemaFault):
    """The database's grants and policies are another release's."""

    reason = "ACCESS_BEHIND"

    def __init__(self, service: str) -> None:
        super().__init__(service, "has grants and policies of another release: run `headwater migrate`")


class SchemaAhead(SchemaFault):
    """The database has migrations that this release does not know."""

    reason = "SCHEMA_AHEAD"

    def __init__(self, service: str, applied: int, known: int) -> None:
        super().__init__(
            service,
            f"is at version {applied}, this release knows up to {known}: start a release that knows it",
        )
        self.applied = applied
        self.known = known


class SchemaDiffers(SchemaFault):
    """A migration that was applied is not the one in this release."""

    reason = "SCHEMA_DIFFERS"

    def __init__(self, service: str, version: int, applied: str, found: str) -> None:
        super().__init__(
            service,
            f"migration {version} was applied as {applied} but this release has {found}: "
            "applied migrations never change, add a new one",
        )
        self.version = version
