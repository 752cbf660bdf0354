-- Which stages are complete, and the tables that they fill: all in one database file of the scan.

-- name: create_stage
-- The ledger of stages; a stage's row is written in the transaction of its tables.
CREATE TABLE IF NOT EXISTS stage (name VARCHAR PRIMARY KEY, seconds DOUBLE NOT NULL, facts VARCHAR NOT NULL)

-- name: list_stages
-- The complete stages.
SELECT name, seconds, facts FROM stage

-- name: complete_stage
-- Note that a stage is complete: $name, $seconds it took, $facts as JSON.
INSERT INTO stage (name, seconds, facts) VALUES ($name, $seconds, $facts)

-- name: repeated_ids
-- Ids that several rows of the numbered file at $path have, five at the most.
SELECT id FROM read_parquet($path) GROUP BY id HAVING count(*) > 1 ORDER BY id LIMIT 5

-- name: rows_without_id
-- Rows of the numbered file at $path that have no id.
SELECT count(*) FROM read_parquet($path) WHERE id IS NULL OR id = ''

-- name: numbered
-- The rows of the source, numbered in the order in which they come.
SELECT row_number() OVER () - 1 AS n, * FROM source

-- name: rows_of_range
-- The rows from $start to before $stop of the numbered file at $path.
SELECT * FROM read_parquet($path) WHERE n >= $start AND n < $stop ORDER BY n

-- name: forget_source
-- The view on the source's file.
DROP VIEW source

-- name: count_rows
-- Rows of the numbered file at $path.
SELECT count(*) FROM read_parquet($path)
