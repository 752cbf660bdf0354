"""Named SQL of the ingest service."""
