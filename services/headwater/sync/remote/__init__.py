"""Other services behind the ports of sync, over their `v1` contracts."""
