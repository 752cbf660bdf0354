"""The shared floor: clock, ids, errors, settings, lifecycle, Postgres, gRPC, telemetry. Knows no service."""
