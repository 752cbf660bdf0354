-- From the workers' files to what a person reads.

-- name: create_member
-- Records in groups of two or more.
CREATE OR REPLACE TABLE member (n BIGINT NOT NULL, group_id VARCHAR NOT NULL, merge_id VARCHAR NOT NULL, bits DOUBLE)

-- name: read_members
-- From the lines of JSON arrays at $paths.
INSERT INTO member
SELECT (json ->> '$[0]')::BIGINT, json ->> '$[1]', json ->> '$[2]', (json ->> '$[3]')::DOUBLE
FROM read_ndjson_objects($paths)

-- name: create_doubt
-- Pairs that a person may want to see.
CREATE OR REPLACE TABLE doubt (record_id VARCHAR NOT NULL, other_id VARCHAR NOT NULL, bits DOUBLE NOT NULL, outcome VARCHAR NOT NULL)

-- name: read_doubts
-- From the lines of JSON arrays at $paths.
INSERT INTO doubt
SELECT json ->> '$[0]', json ->> '$[1]', (json ->> '$[2]')::DOUBLE, json ->> '$[3]'
FROM read_ndjson_objects($paths)

-- name: forget_cluster
-- What an earlier report, cut short, left behind.
DROP TABLE IF EXISTS cluster

-- name: clusters
-- Every record of the numbered file at $path with its group and merge part; bits are its best within the group.
SELECT
    numbered.id AS record_id,
    coalesce(member.group_id, numbered.id) AS group_id,
    coalesce(member.merge_id, numbered.id) AS merge_id,
    member.bits
FROM read_parquet($path) AS numbered LEFT JOIN member ON member.n = numbered.n
ORDER BY group_id, merge_id, record_id

-- name: review
-- The pairs closest to the threshold $bits_min, $pairs_max at the most.
SELECT record_id, other_id, bits, outcome FROM doubt
ORDER BY abs(bits - $bits_min), record_id, other_id
LIMIT $pairs_max

-- name: count_doubts
-- Doubtful pairs by outcome.
SELECT split_part(outcome, ':', 1), count(*) FROM doubt GROUP BY 1 ORDER BY 1

-- name: count_groups
-- Groups of two records or more by size.
SELECT records, count(*) FROM (SELECT count(*) AS records FROM member GROUP BY group_id) AS sized GROUP BY records ORDER BY records

-- name: count_merges
-- How many records a merge of every merge part would take away.
SELECT count(*) - count(DISTINCT merge_id) FROM member

-- name: largest
-- The five largest groups.
SELECT group_id, count(*) AS records FROM member GROUP BY group_id ORDER BY records DESC, group_id ASC LIMIT 5
