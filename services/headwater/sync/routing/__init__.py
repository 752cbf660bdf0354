"""Routing: leads are given to people right behind the projector, moved when needed, and timed."""
