"""The decisions of sync: what an event changes, what a CRM should hold, what a failure means. Pure."""
