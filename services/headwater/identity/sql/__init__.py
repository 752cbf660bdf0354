"""Identity's statements, one file per noun. Owns every statement that the service runs."""
