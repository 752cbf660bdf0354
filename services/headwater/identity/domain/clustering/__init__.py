"""Entities from scored pairs: average linkage, guards, stable ids, tiers, and the in-memory drivers. Pure."""
