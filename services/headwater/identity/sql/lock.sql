-- Locks of one transaction. A resolving transaction holds its tenant shared and the stripes of its keys
-- and records; a merge or split holds its tenant alone.

-- name: lock_resolving
-- Keep merges and splits of the tenant out until the transaction ends, take the locks of keys and records, and bound
-- the statements that follow, whose plans are kept: each has one plan for any size of table.
-- $1 bigint: the tenant's lock. $2 text: longest statement from here on, in milliseconds.
-- $3 bigint[]: locks, ascending: taken in this order no two batches deadlock.
SELECT
    set_config('statement_timeout', $2::text, TRUE),
    set_config('plan_cache_mode', 'force_generic_plan', TRUE),
    pg_advisory_xact_lock_shared($1::bigint)::text,
    (SELECT count(pg_advisory_xact_lock(stripe.lock)::text) FROM unnest($3::bigint[]) AS stripe (lock))

-- name: lock_tenant_alone
-- Keep everybody else of the tenant out until the transaction ends, and bound its statements.
-- $1 bigint: the tenant's lock. $2 text: longest statement from here on, in milliseconds.
SELECT
    set_config('statement_timeout', $2::text, TRUE),
    pg_advisory_xact_lock($1::bigint)::text
