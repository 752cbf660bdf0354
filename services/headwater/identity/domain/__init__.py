"""Pure identity: normalising, keys, matching, merging. No I/O, no clock, no chance.

Reads downward only: normalising < scoring < clustering < identifying < resolving, explaining.
"""
