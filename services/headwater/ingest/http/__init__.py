"""The HTTP door: translates between HTTP and the use cases, decides nothing."""
