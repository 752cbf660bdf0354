"""Wires the sync service: the only room that picks implementations."""

from headwater.sync.app.running import running, serve

__all__ = ["running", "serve"]
