"""A provider of enrichment as the fleet has one: people by address, companies by domain, asked with a key."""
