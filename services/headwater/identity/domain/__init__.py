"""Pure identity: normalising, keys, matching, merging. No I/O, no clock, no chance.

Reads downward only: text < email, phone, web, names < keys < matching < resolving, explaining.
"""
