#!/usr/bin/env bash
# Each fuzzer runs for a while, finds nothing, and is not dead. scripts/fuzz has it for longer.
# limit: 3600
# usage: fuzz.sh OUT
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
exec "$root/scripts/fuzz" --seconds 20
