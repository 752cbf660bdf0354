"""Merges of entities followed into CRMs and undone there: the worker, its ports, the previews."""
