"""Projector, delivery actors and the operations API."""
