-- The lock of one transaction: whoever resolves, merges or splits has the tenant alone.

-- name: lock_tenant
-- Keep everybody else of the tenant out until the transaction ends, and bound the statements that follow, whose plans
-- are kept: each has one plan for any size of table.
-- $1 bigint: the tenant's lock. $2 text: longest statement from here on, in milliseconds.
SELECT
    set_config('statement_timeout', $2::text, TRUE),
    set_config('plan_cache_mode', 'force_generic_plan', TRUE),
    pg_advisory_xact_lock($1::bigint)::text
