"""Headwater keeps CRM records true: one durable log, one identity, one policy, every CRM."""
