"""The connector kit and one folder per vendor."""
