"""Support for tests, shipped so that every room and connector can use it. Must not be imported by services."""
