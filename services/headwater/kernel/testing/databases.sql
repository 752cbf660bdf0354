-- Identifiers cannot be parameters of CREATE and DROP DATABASE, so the server writes those statements.

-- name: write_create_database
-- The statement that makes an empty database.
-- $1 text: its name.
SELECT pg_catalog.format('CREATE DATABASE %I', $1::text)

-- name: write_clone_database
-- The statement that copies a database that nobody is connected to.
-- $1 text: name of the copy. $2 text: name of the original.
SELECT pg_catalog.format('CREATE DATABASE %I TEMPLATE %I', $1::text, $2::text)

-- name: write_drop_database
-- The statement that drops a database and throws out whoever is connected.
-- $1 text: its name.
SELECT pg_catalog.format('DROP DATABASE IF EXISTS %I WITH (FORCE)', $1::text)
