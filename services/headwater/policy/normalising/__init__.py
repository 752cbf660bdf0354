"""Values in one spelling: rules that a policy names per field, and what each of them does. Pure.

Owns what two spellings of one value have in common, for people to read and CRMs to hold. Who is who is identity's, which
is told the raw values.
"""
