-- The roles of Headwater's services. Identifiers cannot be parameters of CREATE ROLE, so the server writes the statements.

-- name: write_missing_roles
-- The statements that make what is missing of the roles, each with whether it can be done without; none when all is
-- there. A service's role is a member of its tenant role and inherits nothing of it: it may take it on for a call.
-- BYPASSRLS only spares the server the policy that shows owner and services every row; few may give it.
-- $1 text: the owner. $2 text[]: the roles of services. $3 text[]: those of their calls, in the same order.
WITH wanted AS (
    SELECT w.name, w.n
    FROM unnest($1::text || $2::text [] || $3::text []) WITH ORDINALITY AS w (name, n)
),

membership AS (
    SELECT $1::text AS role, current_user::text AS member, TRUE AS needed
    UNION ALL
    SELECT w.tenant_role, w.service_role, TRUE
    FROM unnest($2::text [], $3::text []) AS w (service_role, tenant_role)
    UNION ALL
    -- A service whose login is another one has its membership from who made the login.
    SELECT w.service_role, current_user::text, FALSE
    FROM unnest($2::text []) AS w (service_role)
)

SELECT
    pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', w.name) AS statement,
    TRUE AS needed,
    1 AS step
FROM wanted AS w
WHERE pg_catalog.to_regrole(w.name) IS NULL
UNION ALL
SELECT pg_catalog.format('ALTER ROLE %I BYPASSRLS', w.name), FALSE, 2
FROM wanted AS w
INNER JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user AND u.rolsuper
LEFT JOIN pg_catalog.pg_roles AS r ON w.name = r.rolname
WHERE w.name <> ALL($3::text []) AND NOT coalesce(r.rolbypassrls, FALSE)
UNION ALL
SELECT pg_catalog.format('GRANT %I TO %I', m.role, m.member), m.needed, 3
FROM membership AS m
LEFT JOIN pg_catalog.pg_roles AS r ON m.role = r.rolname
LEFT JOIN pg_catalog.pg_roles AS u ON m.member = u.rolname
WHERE
    m.role <> m.member
    AND NOT coalesce(u.rolsuper, FALSE)  -- may be everybody
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_auth_members AS a
        WHERE
            a.roleid = r.oid AND a.member = u.oid
            -- From PostgreSQL 16 on who makes a role may grant it, and not act as it.
            AND coalesce(pg_catalog.to_jsonb(a) ->> 'set_option', 'true') = 'true'
    )
ORDER BY step

-- name: read_walls
-- What is written beside a service's schema about its roles (access.sql), and whether the user may take on a role.
-- $1 text: the schema. $2 text: name of the role after the prefix.
WITH written AS (
    SELECT pg_catalog.obj_description(pg_catalog.to_regnamespace($1), 'pg_namespace') AS note
),

taken AS (
    SELECT pg_catalog.regexp_match(w.note, '^headwater access ([0-9a-f]{64}) roles ([a-z][a-z0-9_]*)$') AS parts
    FROM written AS w
)

SELECT
    t.parts[1] AS digest,
    t.parts[2] AS prefix,
    pg_catalog.to_regrole(t.parts[2] || '_' || $1) IS NOT NULL AS made,
    coalesce(pg_catalog.pg_has_role(
        session_user, pg_catalog.to_regrole(t.parts[2] || '_' || $1)::oid, 'MEMBER'
    ), FALSE) AS is_member,
    coalesce(pg_catalog.pg_has_role(
        session_user, pg_catalog.to_regrole(t.parts[2] || '_owner')::oid, 'MEMBER'
    ), FALSE) AS may_own,
    session_user::text AS login
FROM taken AS t
