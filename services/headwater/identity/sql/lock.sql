-- Locks of one transaction. A resolving transaction holds its tenant shared and the stripes of its keys
-- and records; a merge or split holds its tenant alone.

-- name: lock_tenant_shared
-- Keep merges and splits of the tenant out until the transaction ends, and bound its statements.
-- $1 bigint: the tenant's lock. $2 text: longest statement from here on, in milliseconds.
SELECT
    set_config('statement_timeout', $2::text, TRUE),
    pg_advisory_xact_lock_shared($1::bigint)::text

-- name: lock_tenant_alone
-- Keep everybody else of the tenant out until the transaction ends, and bound its statements.
-- $1 bigint: the tenant's lock. $2 text: longest statement from here on, in milliseconds.
SELECT
    set_config('statement_timeout', $2::text, TRUE),
    pg_advisory_xact_lock($1::bigint)::text

-- name: lock_stripes
-- Take the locks of keys and records, in the order given: sorted, so that no two batches deadlock.
-- $1 bigint[]: locks, ascending.
SELECT count(pg_advisory_xact_lock(stripe.lock)::text)
FROM unnest($1::bigint[]) AS stripe (lock)
