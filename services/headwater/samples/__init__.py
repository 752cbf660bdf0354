"""Real input that `headwater run` feeds through everything; where it comes from is in SOURCES.md. Data only."""
