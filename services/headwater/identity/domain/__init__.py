"""Pure identity: normalising, keys, matching, merging. No I/O, no clock, no chance.

Reads downward only: normalising < namesakes, records < keys < matching < resolving, explaining.
"""
