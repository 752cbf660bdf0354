"""What ingest decides, free of I/O: form, contract, keys and the outcome of each event."""
