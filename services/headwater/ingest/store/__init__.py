"""The ports of ingest on Postgres: one method per query, one file of SQL per noun."""
