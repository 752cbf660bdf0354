"""Normalise, keys, match, merge, split, review: who is who, behind gRPC."""
