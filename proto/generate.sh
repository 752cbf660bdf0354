#!/bin/sh
# Generates the Python code of every proto into the given source root (default: services).
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
out=${1:-$root/services}
python=${PYTHON:-$root/.venv/bin/python}
bin=$(dirname "$python")
PATH="$bin:$PATH" "$python" -m grpc_tools.protoc --proto_path="$root/proto" \
  --python_out="$out" --grpc_python_out="$out" --mypy_out="$out" --mypy_grpc_out="$out" \
  "$root"/proto/headwater/*/v1/*.proto
for service in event eventbus ingest identity sync; do
  : > "$out/headwater/$service/v1/__init__.py"
done
rm -f "$out"/headwater/event/v1/event_pb2_grpc.py "$out"/headwater/event/v1/event_pb2_grpc.pyi
