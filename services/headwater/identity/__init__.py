"""Identity: which source records are the same person, company or deal.

Owns entities, their members, merges and splits, in the schema `identity`. Knows no other service's
tables; tells the world of a merge or a split through events in the log.
"""
