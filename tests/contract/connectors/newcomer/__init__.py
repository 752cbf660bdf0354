"""A connector as somebody new to the house writes it, from `connectors/README.md`, for an API of another shape."""
