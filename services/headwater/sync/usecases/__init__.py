"""What operators may ask of sync, in the order of its effects."""
