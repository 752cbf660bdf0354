#!/bin/sh
# Fails when the committed Python code is not what generate.sh makes of the protos.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
for folder in "$root"/proto/headwater/*/v1; do
  service=$(basename "$(dirname "$folder")")
  mkdir -p "$fresh/headwater/$service/v1"
done
sh "$root/proto/generate.sh" "$fresh"
stale=0
for folder in "$fresh"/headwater/*/v1 "$root"/services/headwater/*/v1; do
  service=$(basename "$(dirname "$folder")")
  diff -r -u -x __pycache__ "$root/services/headwater/$service/v1" "$fresh/headwater/$service/v1" || stale=1
done
if [ "$stale" -ne 0 ]; then
  echo "Generated code is stale (or edited by hand): run 'make proto' and commit the result." >&2
  exit 1
fi
echo "Generated code is up to date."
