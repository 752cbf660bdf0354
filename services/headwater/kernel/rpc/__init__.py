"""gRPC as every service uses it: one server set-up, one error table, one client set-up."""

from headwater.kernel.rpc.client import open_channel
from headwater.kernel.rpc.server import RpcServer, ServerSettings
from headwater.kernel.rpc.status import StatusInterceptor, abort_with, to_status

__all__ = ["RpcServer", "ServerSettings", "StatusInterceptor", "abort_with", "open_channel", "to_status"]
