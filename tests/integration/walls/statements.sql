-- What the matrix of roles and tables is made from, and what fills the tables that it is tried on.

-- name: list_relations
-- Every table and view of the services' schemas, with one partition for those that are partitioned.
SELECT
    n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind, c.relispartition AS is_leaf,
    c.relrowsecurity AS walled, c.relforcerowsecurity AS forced,
    pg_get_userbyid(c.relowner)::text AS owner,
    EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    ) AS has_tenant,
    (
        SELECT a.attname::text FROM pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
        ORDER BY a.attnum LIMIT 1
    ) AS first_column
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('ingest', 'identity', 'sync') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY 1, 2

-- name: list_schemas
-- Every schema that is no part of the server.
SELECT n.nspname::text AS name
FROM pg_namespace AS n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
ORDER BY 1

-- name: list_policies
-- The policies of every table: role and condition.
SELECT
    n.nspname || '.' || c.relname AS name, p.polname::text AS policy,
    (SELECT string_agg(pg_get_userbyid(r)::text, ',') FROM unnest(p.polroles) AS r) AS roles,
    pg_get_expr(p.polqual, p.polrelid) AS visible, pg_get_expr(p.polwithcheck, p.polrelid) AS written
FROM pg_policy AS p
INNER JOIN pg_class AS c ON c.oid = p.polrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY 1, 2

-- name: list_definers
-- Functions that run with their owner's rights, and with which search_path.
SELECT p.oid::regprocedure::text AS name, array_to_string(p.proconfig, '; ') AS settings, pg_get_userbyid(p.proowner)::text AS owner
FROM pg_proc AS p
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname IN ('ingest', 'identity', 'sync') AND p.prosecdef
ORDER BY 1

-- name: list_open_functions
-- Functions that everybody may call: none may be.
SELECT p.oid::regprocedure::text AS name
FROM pg_proc AS p
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE
    n.nspname IN ('ingest', 'identity', 'sync')
    AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0)

-- name: write_loosening
-- The statements that let a row of nothing but keys into every table: for a database that is thrown away.
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', k.conrelid::regclass, k.conname) AS statement, 1 AS step
FROM pg_constraint AS k
INNER JOIN pg_class AS c ON c.oid = k.conrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('ingest', 'identity', 'sync') AND k.contype IN ('c', 'f') AND k.conparentid = 0 AND k.coninhcount = 0
UNION ALL
SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', c.oid::regclass, a.attname), 2
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE
    n.nspname IN ('ingest', 'identity', 'sync') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND a.attnum > 0 AND a.attnotnull AND a.attidentity = '' AND NOT a.attisdropped
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY(i.indkey))
UNION ALL
SELECT format('ALTER TABLE %s DISABLE TRIGGER USER', c.oid::regclass), 3
FROM pg_class AS c
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('ingest', 'identity', 'sync') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY step

-- name: write_row
-- The statement that puts a row into a table: its tenant, its keys, and nothing else.
-- $1 text: schema. $2 text: table. $3 text: tenant.
SELECT format(
    'INSERT INTO %I.%I (%s) VALUES (%s)', $1::text, $2::text,
    string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
    string_agg(
        CASE
            WHEN a.attname = 'tenant_id' THEN quote_literal($3::text)
            WHEN a.attname = 'record_day' THEN quote_literal((now() AT TIME ZONE 'UTC')::date)
            WHEN t.typcategory IN ('N') OR t.typname = 'xid8' THEN '''1'''
            WHEN t.typcategory = 'D' THEN 'now()'
            WHEN t.typcategory = 'B' THEN 'false'
            WHEN t.typname = 'uuid' THEN '''00000000-0000-0000-0000-000000000001'''
            ELSE '''x'''
        END,
        ', ' ORDER BY a.attnum
    )
) AS statement
FROM pg_attribute AS a
INNER JOIN pg_type AS t ON t.oid = a.atttypid
WHERE
    a.attrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attidentity = ''
    AND (
        a.attname IN ('tenant_id', 'record_day')
        OR EXISTS (
            SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY(i.indkey)
        )
    )

-- name: act_as
-- Work as a role until the transaction ends. $1 text: the role.
SELECT set_config('role', $1, true)

-- name: enter_tenant
-- Serve a tenant until the transaction ends. $1 text: the tenant.
SELECT set_config('headwater.tenant', $1, true)

-- name: write_attempts
-- A statement of each kind on a table, none of which needs another right than its own.
-- $1 text: schema. $2 text: table. $3 text: a column.
SELECT
    format('SELECT %I FROM %I.%I LIMIT 0', $3::text, $1::text, $2::text) AS "select",
    format('INSERT INTO %I.%I DEFAULT VALUES', $1::text, $2::text) AS "insert",
    format('UPDATE %I.%I SET %I = DEFAULT WHERE false', $1::text, $2::text, $3::text) AS "update",
    format('DELETE FROM %I.%I WHERE false', $1::text, $2::text) AS "delete",
    format('TRUNCATE %I.%I', $1::text, $2::text) AS "truncate"

-- name: write_tenant_attempts
-- Statements on the rows of a tenant: what is seen, and what can be done to another's.
-- $1 text: schema. $2 text: table. $3 text: the other tenant.
SELECT
    format('SELECT tenant_id FROM %I.%I', $1::text, $2::text) AS "select",
    format('UPDATE %I.%I SET tenant_id = tenant_id WHERE tenant_id = %L', $1::text, $2::text, $3::text) AS "update",
    format('DELETE FROM %I.%I WHERE tenant_id = %L', $1::text, $2::text, $3::text) AS "delete"
