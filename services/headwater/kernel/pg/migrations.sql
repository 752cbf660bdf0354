-- The migrator's own book-keeping. Every statement on schema_migration runs with search_path set
-- to the service's schema, so no name is ever put together in Python.

-- name: try_lock
-- Take the lock that serialises all migrators of this database, without waiting.
-- $1 bigint: the lock's key. Returns whether it was taken.
SELECT pg_catalog.pg_try_advisory_lock($1)

-- name: unlock
-- Give the migrators' lock back.
-- $1 bigint: the lock's key.
SELECT pg_catalog.pg_advisory_unlock($1)

-- name: enter_schema
-- Let unqualified names mean this service's schema, until the transaction ends.
-- $1 text: the service. Returns nothing of use.
SELECT
    pg_catalog.set_config('search_path', pg_catalog.quote_ident($1) || ', public', TRUE),
    pg_catalog.set_config('headwater.schema', $1, TRUE)

-- name: set_limits
-- A migration may run long, but may not queue for a lock long and stop the traffic behind it.
-- $1 text: the longest wait for a lock, in milliseconds.
SELECT
    pg_catalog.set_config('statement_timeout', '0', TRUE),
    pg_catalog.set_config('lock_timeout', $1, TRUE)

-- name: create_schema
-- Make the service's schema unless it is there. Parameter: the setting headwater.schema (enter_schema).
DO $$
BEGIN
    IF to_regnamespace(quote_ident(current_setting('headwater.schema'))) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', current_setting('headwater.schema'));
    END IF;
END
$$

-- name: create_book
-- Make the table of applied migrations unless it is there. No parameters.
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY CHECK (version > 0),
    name text NOT NULL,
    sha256 text NOT NULL CHECK (length(sha256) = 64),
    applied_time timestamptz NOT NULL DEFAULT clock_timestamp()
)

-- name: book_exists
-- Whether this service's schema has a table of applied migrations.
-- $1 text: the service.
SELECT EXISTS (
    SELECT 1 FROM pg_catalog.pg_tables
    WHERE schemaname = $1 AND tablename = 'schema_migration'
)

-- name: list_applied
-- The migrations applied to this service's schema, oldest first. No parameters.
SELECT version, name, sha256
FROM schema_migration
ORDER BY version

-- name: record_applied
-- Write down that a migration was applied.
-- $1 integer: version. $2 text: name. $3 text: SHA-256 of the file, hexadecimal.
INSERT INTO schema_migration (version, name, sha256)
VALUES ($1, $2, $3)
