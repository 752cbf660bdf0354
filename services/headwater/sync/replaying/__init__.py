"""Working off replays: any process, at each replay's own rate."""
