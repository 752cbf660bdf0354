"""The streams by which CRMs tell of changes: heard under the account's lease, kept as records to be read."""
