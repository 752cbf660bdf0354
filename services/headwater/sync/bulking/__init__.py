"""Bulk jobs of delivery accounts: gathering backlogs, the course of a job, settling its results."""
