-- What a server says of itself and of who asks.

-- name: read_clock
-- The server's clock at this moment. No parameters.
SELECT clock_timestamp() AS now

-- name: read_server
-- Limits, use and rights. No parameters. One row: connections allowed, those in use, version, whether the role is a
-- superuser, or may make roles or databases.
SELECT
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        AS connections_max,
    (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.backend_type = 'client backend')
        AS connections_used,
    current_setting('server_version') AS version,
    r.rolname AS role,
    r.rolsuper AS superuser,
    r.rolcreaterole OR r.rolcreatedb AS creates
FROM pg_catalog.pg_roles AS r
WHERE r.rolname = current_user
