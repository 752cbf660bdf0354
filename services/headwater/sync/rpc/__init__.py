"""Sync over gRPC: checks requests, translates both ways, decides nothing."""

from headwater.sync.rpc.service import SERVICE_NAME, SyncServicer

__all__ = ["SERVICE_NAME", "SyncServicer"]
