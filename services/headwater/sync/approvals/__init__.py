"""Writes that wait for a person: what is asked, and the door that holds them."""
