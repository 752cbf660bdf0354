"""Scores of record pairs in bits: comparison levels, weights, rarity, learning without labels. Pure.

`parts_of(normal)` takes a record apart once; `score_bits(a, b, weights, shared)` weighs a pair,
`explain_score` says why; `learn(object, records, chance)` gives weights, `shipped(object)` those of day one.
"""
