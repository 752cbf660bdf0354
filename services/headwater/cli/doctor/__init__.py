"""`headwater doctor`: what is wrong with an installation, and how it is put right."""
