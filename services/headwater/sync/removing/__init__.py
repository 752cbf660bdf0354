"""Records whose entity was deleted, removed from the CRMs once the grace is over."""
