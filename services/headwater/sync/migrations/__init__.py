"""Migrations of the sync schema, forward-only."""
