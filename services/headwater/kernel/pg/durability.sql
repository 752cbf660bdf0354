-- What decides whether an acknowledged write survives a crash.

-- name: read_durability_settings
-- The settings of this session and, for each, the value that a fresh session would have.
-- No parameters. One row per setting: name, session value, value reset to.
SELECT name, setting, reset_val
FROM pg_catalog.pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
ORDER BY name
