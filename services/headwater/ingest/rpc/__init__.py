"""Ingest on the wire: translates between messages and the domain's words; decides nothing."""
