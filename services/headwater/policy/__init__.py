"""The policy document: schema, checks and pure decisions. Knows no I/O."""
