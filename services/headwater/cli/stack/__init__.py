"""A whole Headwater on one machine: starts, watches, restarts and ends its processes. Knows none of their insides."""
