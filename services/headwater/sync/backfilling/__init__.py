"""Backfills: what CRMs changed in a stretch of time, read again page by page and recorded beside the live traffic."""
