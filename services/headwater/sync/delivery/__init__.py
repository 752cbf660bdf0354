"""The delivery actors: one per connector account, the only writers to its CRM."""
