"""What the fleet remembers, in one SQLite file: the only room of the sandbox that knows SQL."""
