-- The time by which all processes go.

-- name: read_time
-- The database's clock.
select clock_timestamp() as now;
