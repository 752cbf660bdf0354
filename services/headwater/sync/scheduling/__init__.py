"""Periodic jobs: leased, supervised, with durable next-run times, visible to operators.

Owns when jobs run and what the jobs are: pollers, the calendar of what ends, maintenance. Knows no SQL and no vendor.
"""
