-- What roles really may in one schema, for `rights` to compare with access.toml. Reads catalogs only, as anybody may.

-- name: list_rights
-- Every right on a schema and on what is in it that anybody but its owner has; PUBLIC is everybody.
-- $1 text: the schema.
WITH place AS (
    SELECT pg_catalog.to_regnamespace($1)::oid AS id
),

held AS (
    SELECT
        'SCHEMA' AS kind, n.nspname::text AS name, '' AS parent, n.nspowner AS owner,
        coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS acl
    FROM pg_catalog.pg_namespace AS n
    INNER JOIN place AS p ON n.oid = p.id
    UNION ALL
    SELECT
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname::text,
        coalesce((
            SELECT above.relname::text
            FROM pg_catalog.pg_inherits AS i
            INNER JOIN pg_catalog.pg_class AS above ON i.inhparent = above.oid
            WHERE i.inhrelid = c.oid AND c.relispartition
        ), ''),
        c.relowner,
        coalesce(
            c.relacl,
            CASE c.relkind
                WHEN 'S' THEN pg_catalog.acldefault('s', c.relowner) ELSE pg_catalog.acldefault('r', c.relowner)
            END
        )
    FROM pg_catalog.pg_class AS c
    INNER JOIN place AS p ON c.relnamespace = p.id
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'COLUMN', c.relname::text || '.' || a.attname::text, '', c.relowner, a.attacl
    FROM pg_catalog.pg_attribute AS a
    INNER JOIN pg_catalog.pg_class AS c ON a.attrelid = c.oid
    INNER JOIN place AS p ON c.relnamespace = p.id
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT
        'FUNCTION', f.proname::text, '', f.proowner, coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))
    FROM pg_catalog.pg_proc AS f
    INNER JOIN place AS p ON f.pronamespace = p.id
)

SELECT DISTINCT
    h.kind, h.name, h.parent, a.privilege_type::text AS right_name,
    CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END AS role
FROM held AS h
CROSS JOIN LATERAL pg_catalog.aclexplode(h.acl) AS a
WHERE a.grantee <> h.owner
ORDER BY h.kind, h.name, right_name, role

-- name: list_sequences
-- Names of the sequences of a schema.
-- $1 text: the schema.
SELECT c.relname::text AS name
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = pg_catalog.to_regnamespace($1) AND c.relkind = 'S'

-- name: list_policies
-- Policies of row level security of a schema, as the server writes their conditions.
-- $1 text: the schema.
SELECT
    c.relname::text AS name,
    p.polname::text AS policy,
    p.polcmd = '*' AND p.polpermissive AS is_whole,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS seen,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS written
FROM pg_catalog.pg_policy AS p
INNER JOIN pg_catalog.pg_class AS c ON p.polrelid = c.oid
WHERE c.relnamespace = pg_catalog.to_regnamespace($1)
ORDER BY c.relname, p.polname

-- name: list_powers
-- What some roles may beyond any grant: everything, past every wall, or to log in.
-- $1 text[]: roles.
SELECT r.rolname::text AS role, w.power
FROM pg_catalog.pg_roles AS r
CROSS JOIN LATERAL (
    VALUES ('SUPERUSER', r.rolsuper), ('BYPASSRLS', r.rolbypassrls), ('LOGIN', r.rolcanlogin)
) AS w (power, has)
WHERE r.rolname = ANY($1::text []) AND w.has
ORDER BY r.rolname, w.power
