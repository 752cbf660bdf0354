-- What a pool says to its own connections.

-- name: act_as
-- Work as a role from here on.
-- $1 text: the role.
SELECT pg_catalog.set_config('role', $1, FALSE)
