"""Versions of policies: entities are renewed under a new one, and a change is looked at before it is made."""
