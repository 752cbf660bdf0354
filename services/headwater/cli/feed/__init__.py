"""Files in, events out: readers of mbox, CSV and JSON lines, and the pump that sends what they read."""
