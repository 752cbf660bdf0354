"""What ingest does, in order: records, gathers, releases, keeps policies at hand. Decides nothing itself."""
