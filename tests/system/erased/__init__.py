"""What is left of an erased person in copies of the database."""
