"""Reconciliation: reads the CRMs, tells what differs from what they should hold, and repairs what the policy allows."""
