"""What a batch of records comes to: pairs compared, groups and entities, rows to write. Pure.

`Comparison` looks at what the batch meets by its keys and says which neighbourhood decides; `plan_batch`
decides. Between the two lies one read.
"""
