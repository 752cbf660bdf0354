-- From prepared lines to candidate pairs: records that share a key which few enough records have.

-- name: read_lines
-- One row a record, from the files at $paths; what a line leaves out is empty. Kept in memory: the files stay.
CREATE OR REPLACE TEMP TABLE line AS
SELECT *
FROM read_json(
    $paths,
    format = 'newline_delimited',
    maximum_object_size = 1048576,
    columns = {
        n: 'BIGINT', keys: 'VARCHAR[]', watched: 'VARCHAR[]',
        given: 'VARCHAR', family: 'VARCHAR', full_names: 'VARCHAR[]', spelt: 'VARCHAR',
        boxes: 'VARCHAR[]', local: 'VARCHAR', digits: 'VARCHAR', domain: 'VARCHAR', free: 'BOOLEAN',
        phones: 'VARCHAR[]', linkedin: 'VARCHAR', organisation: 'VARCHAR', domains: 'VARCHAR[]',
        house: 'VARCHAR', street: 'VARCHAR', city: 'VARCHAR', state: 'VARCHAR', country: 'VARCHAR',
        title: 'VARCHAR', postcode: 'VARCHAR', birth: 'VARCHAR', others: 'VARCHAR[]'
    }
)

-- name: list_shared_names
-- Values of identifiers that things of more than $names_max names use: kind, value, the names, which are
-- those of organisations where $account, else surnames.
SELECT split_part(one, '|', 1), substr(one, strpos(one, '|') + 1), list(DISTINCT whom)
FROM (
    SELECT unnest(watched) AS one, CASE WHEN $account THEN organisation ELSE family END AS whom FROM line
) AS used
WHERE whom IS NOT NULL AND whom <> ''
GROUP BY one
HAVING count(DISTINCT whom) > $names_max
ORDER BY one

-- name: hash_keys
-- One row per record and key.
CREATE OR REPLACE TEMP TABLE key_row AS SELECT hash(key) AS key, n FROM (SELECT unnest(keys) AS key, n FROM line) AS held

-- name: count_crowded
-- Keys that more than $rows_max records have, and how many records the largest has.
SELECT count(*), coalesce(max(held), 0)
FROM (SELECT count(*) AS held FROM key_row GROUP BY key HAVING count(*) > $rows_max) AS crowd

-- name: pair_up
-- Pairs of records that share a key which from two to $rows_max records have, each once, smaller number first.
CREATE OR REPLACE TABLE candidate AS
WITH telling AS (
    SELECT key FROM key_row GROUP BY key HAVING count(*) BETWEEN 2 AND $rows_max
), holder AS MATERIALIZED (
    SELECT key_row.key, key_row.n FROM key_row SEMI JOIN telling ON key_row.key = telling.key
)
SELECT one.n AS low, other.n AS high
FROM holder AS one INNER JOIN holder AS other ON one.key = other.key AND one.n < other.n
GROUP BY one.n, other.n

-- name: count_candidates
-- How many candidate pairs there are.
SELECT count(*) FROM candidate

-- name: forget_lines
-- What no later stage reads.
DROP TABLE line

-- name: forget_keys
-- What no later stage reads.
DROP TABLE key_row

-- name: list_pairs_within
-- Candidate pairs between two records of one component: $components has the one of each of $records.
WITH large AS (
    SELECT unnest($components::BIGINT[]) AS component, unnest($records::BIGINT[]) AS n
)
SELECT candidate.low, candidate.high
FROM candidate
INNER JOIN large AS one ON one.n = candidate.low
INNER JOIN large AS other ON other.n = candidate.high AND other.component = one.component
ORDER BY candidate.low, candidate.high
