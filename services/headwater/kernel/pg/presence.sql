-- What says that the database can be written to.

-- name: can_write
-- Whether this server takes writes: it answers, and is no standby.
-- No parameters. One row: true or false.
SELECT NOT pg_catalog.pg_is_in_recovery()
