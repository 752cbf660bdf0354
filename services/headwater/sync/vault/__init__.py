"""The vault: credentials of connector accounts, sealed in Postgres, opened only where they are used.

    secret field --AES-256-GCM--> data key of the connection --AES-256-GCM--> key of the key ring (file, environment)

Owns sealing, the key ring and its rotation, and the keeping of OAuth grants. Must not log, print or return a secret
to anybody but the connector that sends it. The database holds no key of the ring: who has it alone reads nothing.
"""
