"""The event log, the idempotency ledger and quarantine, behind gRPC."""
