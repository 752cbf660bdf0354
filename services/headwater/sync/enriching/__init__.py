"""Enrichment: providers are asked about entities behind the projector, and their answers go into the log as events."""
