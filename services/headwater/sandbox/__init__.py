"""A fleet of CRM systems to run against: seeded data, switchable faults, an arrival log."""
