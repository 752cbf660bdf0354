"""Postgres behind the ports of sync: every statement of the service, by name."""
