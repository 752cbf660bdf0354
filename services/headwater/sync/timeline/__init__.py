"""Activities by whom they concern: made behind the projection, a page at a time."""
