"""Making one entity again from its own history, beside live traffic."""
