"""The audit that can prove itself: encoding, Merkle tree, checkpoints, proofs and their verification.

Pure and without a database, so that whoever holds an export and the checkpoints can verify both with this room alone.
Must not read files, ask services or know a table.
"""
