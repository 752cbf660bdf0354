-- Statements that the server writes, for tests of roles.

-- name: write_login
-- The statements that make a login which may make schemas in this database.
-- $1 text: its name. $2 text: its attributes.
SELECT format('CREATE ROLE %I LOGIN PASSWORD ''walls'' %s', $1::text, $2::text) AS statement
UNION ALL
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), $1::text)

-- name: write_drop_roles
-- The statement that drops every role of a prefix.
-- $1 text: the prefix.
SELECT 'DROP ROLE ' || string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname NOT LIKE '%admin') AS statement
FROM pg_roles AS r
WHERE starts_with(r.rolname, $1::text || '_')
HAVING count(*) > 0
