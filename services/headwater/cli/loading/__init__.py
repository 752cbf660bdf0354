"""What `headwater load` needs besides the engine: where to send, to which tenants, and how results are shown."""
