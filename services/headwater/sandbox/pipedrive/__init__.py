"""Pipedrive as the sandbox plays it: API v2, with what API v1 still has of users and recents."""
