"""Identity over gRPC: checks requests, translates both ways, decides nothing."""

from headwater.identity.rpc.service import SERVICE_NAME, IdentityServicer
from headwater.identity.rpc.weights import WEIGHTS_SERVICE_NAME, WeightsServicer

__all__ = ["SERVICE_NAME", "WEIGHTS_SERVICE_NAME", "IdentityServicer", "WeightsServicer"]
