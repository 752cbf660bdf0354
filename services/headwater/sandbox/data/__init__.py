"""Data that ships with the sandbox; SOURCES.md says where each file comes from."""
