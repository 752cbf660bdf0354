"""gRPC as every service uses it: one server set-up, one error table, one client set-up."""

from headwater.kernel.rpc.calls import CallSettings
from headwater.kernel.rpc.client import open_channel
from headwater.kernel.rpc.limits import ConnectionSettings, ServerSettings
from headwater.kernel.rpc.server import RpcServer
from headwater.kernel.rpc.status import abort_with, to_status

__all__ = [
    "CallSettings",
    "ConnectionSettings",
    "RpcServer",
    "ServerSettings",
    "abort_with",
    "open_channel",
    "to_status",
]
