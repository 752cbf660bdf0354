-- Grants, policies and owners of one schema, brought to what access.toml says. Identifiers cannot be parameters of
-- GRANT and CREATE POLICY, so the server writes the statements.

-- name: write_hand_over
-- The statements that make a role the owner of a schema and of all that is in it; none when it is.
-- $1 text: the schema. $2 text: the owner.
WITH own AS (
    SELECT pg_catalog.to_regrole($2)::oid AS id
)

SELECT pg_catalog.format('ALTER SCHEMA %I OWNER TO %I', n.nspname, $2::text) AS statement, 1 AS step
FROM pg_catalog.pg_namespace AS n
CROSS JOIN own
WHERE n.nspname = $1 AND n.nspowner <> own.id
UNION ALL
SELECT
    pg_catalog.format(
        'ALTER %s %s OWNER TO %I',
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
        c.oid::regclass, $2::text
    ),
    2
FROM pg_catalog.pg_class AS c
CROSS JOIN own
WHERE
    c.relnamespace = pg_catalog.to_regnamespace($1)
    AND c.relkind IN ('r', 'p', 'v', 'S', 'c')
    AND c.relowner <> own.id
    -- A sequence of a column goes with its table.
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS d
        WHERE
            d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
            AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
            AND c.relkind = 'S'
    )
UNION ALL
SELECT pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $2::text), 3
FROM pg_catalog.pg_proc AS p
CROSS JOIN own
WHERE p.pronamespace = pg_catalog.to_regnamespace($1) AND p.proowner <> own.id
ORDER BY step

-- name: list_relations
-- Tables and views of a schema that have a line of their own: not the partitions. In the order of their names.
-- $1 text: the schema.
SELECT
    c.relname::text AS name,
    c.relkind = 'v' AS is_view,
    EXISTS (
        SELECT FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    ) AS has_tenant
FROM pg_catalog.pg_class AS c
WHERE
    c.relnamespace = pg_catalog.to_regnamespace($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT c.relispartition
ORDER BY c.relname

-- name: list_functions
-- Names of the functions of a schema that are called by name, once each: not those of triggers, nor those that are made
-- for one partition.
-- $1 text: the schema.
SELECT DISTINCT p.proname::text AS name
FROM pg_catalog.pg_proc AS p
WHERE
    p.pronamespace = pg_catalog.to_regnamespace($1) AND p.prorettype <> 'pg_catalog.trigger'::regtype
    AND p.proname !~ '_[0-9]{8}$'
ORDER BY p.proname::text

-- name: write_clearing
-- The statements that take every right from the service's roles, and make what is made later private to its maker.
-- $1 text: the schema. $2 text: the owner. $3 text[]: the roles.
WITH role AS (
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(r.name), ', ') AS names
    FROM unnest('public'::text || $3::text []) AS r (name)
    WHERE r.name <> 'public'
)

SELECT w.statement
FROM role
CROSS JOIN LATERAL (
    VALUES
    (pg_catalog.format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %s', $1::text, role.names)),
    (pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC, %s', $1::text, role.names)),
    (pg_catalog.format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM PUBLIC, %s', $1::text, role.names)),
    (pg_catalog.format('REVOKE ALL ON ALL ROUTINES IN SCHEMA %I FROM PUBLIC, %s', $1::text, role.names)),
    (pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I REVOKE EXECUTE ON ROUTINES FROM PUBLIC', $2::text))
) AS w (statement)

-- name: write_grants
-- The statements that give rights on relations.
-- $1 text: the schema. $2 text[]: relations. $3 text[]: rights on each, as in `SELECT, INSERT`; empty for none.
-- $4 text: the role.
SELECT pg_catalog.format('GRANT %s ON %I.%I TO %I', w.rights, $1::text, w.name, $4::text) AS statement
FROM unnest($2::text [], $3::text []) AS w (name, rights)
WHERE w.rights <> ''

-- name: write_leaf_grants
-- The statements that give a role rights on the partitions of a table, those that come later included.
-- $1 text: the schema. $2 text: the table. $3 text: rights. $4 text: the role. $5 text: the owner.
SELECT pg_catalog.format('GRANT %s ON %s TO %I', $3::text, i.inhrelid::regclass, $4::text) AS statement
FROM pg_catalog.pg_inherits AS i
WHERE i.inhparent = pg_catalog.to_regclass(pg_catalog.format('%I.%I', $1::text, $2::text))
UNION ALL
SELECT pg_catalog.format(
    'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT %s ON TABLES TO %I',
    $5::text, $1::text, $3::text, $4::text
)

-- name: write_uses
-- The statements that let roles use a schema, its sequences, and functions of it.
-- $1 text: the schema. $2 text[]: functions by name. $3 text: the role. $4 boolean: its sequences too.
SELECT pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', $1::text, $3::text) AS statement
UNION ALL
SELECT pg_catalog.format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO %I', $1::text, $3::text)
WHERE $4::boolean
UNION ALL
SELECT pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO %I', p.oid::regprocedure, $3::text)
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = pg_catalog.to_regnamespace($1) AND p.proname = ANY($2::text [])

-- name: write_definers
-- The statements that make functions run with their owner's rights, whatever search_path they are called with.
-- $1 text: the schema. $2 text[]: functions by name.
SELECT pg_catalog.format('ALTER ROUTINE %s SECURITY DEFINER', p.oid::regprocedure) AS statement
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = pg_catalog.to_regnamespace($1) AND p.proname = ANY($2::text []) AND NOT p.prosecdef
UNION ALL
SELECT pg_catalog.format('ALTER ROUTINE %s SET search_path = pg_catalog, pg_temp', p.oid::regprocedure)
FROM pg_catalog.pg_proc AS p
WHERE
    p.pronamespace = pg_catalog.to_regnamespace($1) AND p.proname = ANY($2::text [])
    AND NOT coalesce(pg_catalog.array_to_string(p.proconfig, ' ') LIKE '%search_path=%', FALSE)
UNION ALL
SELECT pg_catalog.format('ALTER ROUTINE %s SECURITY INVOKER', p.oid::regprocedure)
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = pg_catalog.to_regnamespace($1) AND p.proname <> ALL($2::text []) AND p.prosecdef

-- name: write_walls
-- The statements that put every table of a tenant behind row level security: a call sees its tenant's rows, the
-- service and the owner see all. A table gets them once, so that a repetition waits for no lock.
-- $1 text: the schema. $2 text[]: tables. $3 text: the owner. $4 text: the service's role. $5 text: that of its calls.
WITH wall AS (
    SELECT
        pg_catalog.format('%I.%I', $1::text, w.name) AS name,
        c.oid, c.relrowsecurity, c.relforcerowsecurity, w.n
    FROM unnest($2::text []) WITH ORDINALITY AS w (name, n)
    INNER JOIN pg_catalog.pg_class AS c ON c.relname = w.name AND c.relnamespace = pg_catalog.to_regnamespace($1)
),

policy AS (
    SELECT v.name, v.role, v.condition
    FROM (
        VALUES
        ('headwater_owner', $3::text, 'true'),
        ('headwater_service', $4::text, 'true'),
        ('headwater_tenant', $5::text, 'tenant_id = pg_catalog.current_setting(''headwater.tenant'', true)')
    ) AS v (name, role, condition)
)

SELECT pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', w.name) AS statement, w.n
FROM wall AS w
WHERE NOT w.relrowsecurity OR NOT w.relforcerowsecurity
UNION ALL
SELECT
    pg_catalog.format(
        'CREATE POLICY %I ON %s TO %I USING (%s) WITH CHECK (%s)', p.name, w.name, p.role, p.condition, p.condition
    ),
    w.n
FROM wall AS w
CROSS JOIN policy AS p
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS e WHERE e.polrelid = w.oid AND e.polname = p.name)
UNION ALL
SELECT pg_catalog.format('ALTER POLICY %I ON %s TO %I', p.name, w.name, p.role), w.n
FROM wall AS w
CROSS JOIN policy AS p
INNER JOIN pg_catalog.pg_policy AS e ON e.polrelid = w.oid AND e.polname = p.name
WHERE e.polroles <> ARRAY[pg_catalog.to_regrole(p.role)::oid]
ORDER BY n

-- name: write_view_walls
-- The statements that make views show no more than who asks may see.
-- $1 text: the schema.
SELECT pg_catalog.format('ALTER VIEW %s SET (security_invoker = true)', c.oid::regclass) AS statement
FROM pg_catalog.pg_class AS c
WHERE
    c.relnamespace = pg_catalog.to_regnamespace($1) AND c.relkind = 'v'
    AND NOT coalesce(c.reloptions @> ARRAY['security_invoker=true'], FALSE)

-- name: write_upkeep
-- The statements that let a role vacuum and reindex tables, where the server knows that right (PostgreSQL 17).
-- $1 text: the schema. $2 text[]: tables. $3 text: the role.
SELECT pg_catalog.format('GRANT MAINTAIN ON %I.%I TO %I', $1::text, w.name, $3::text) AS statement
FROM unnest($2::text []) AS w (name)
WHERE pg_catalog.current_setting('server_version_num')::integer >= 170000

-- name: write_note
-- The statement that writes beside a schema which grants it has.
-- $1 text: the schema. $2 text: digest. $3 text: prefix of the roles.
SELECT pg_catalog.format(
    'COMMENT ON SCHEMA %I IS %L', $1::text, 'headwater access ' || $2::text || ' roles ' || $3::text
) AS statement

-- name: act_as
-- Work as a role until the transaction ends.
-- $1 text: the role.
SELECT pg_catalog.set_config('role', $1, TRUE)
