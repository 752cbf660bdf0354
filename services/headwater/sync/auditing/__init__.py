"""Keeping the audit provable: numbering what was committed, signing the tree, telling a second place."""
