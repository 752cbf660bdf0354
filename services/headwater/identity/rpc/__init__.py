"""Identity over gRPC: checks requests, translates both ways, decides nothing."""

from headwater.identity.rpc.service import SERVICE_NAME, IdentityServicer

__all__ = ["SERVICE_NAME", "IdentityServicer"]
