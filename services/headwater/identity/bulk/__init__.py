"""Identity of a whole file at once, on one machine: `python -m headwater.identity.bulk`, called by `headwater identity scan`.

Owns the road of many records: reading, joining on keys and a cheap bound in DuckDB, scoring and linking in
worker processes, and the report. Must not decide who is who: that is the domain's, the same functions as
record by record, and the groups are the same. Writes nothing but its own directories.
"""
