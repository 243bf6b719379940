#!/usr/bin/env bash
# gcc -fanalyzer, clang-tidy and cppcheck have nothing to say of src but what analysis.excuses has a reason for.
# limit: 7200
# usage: analysis.sh OUT
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
for tool in gcc clang-tidy cppcheck; do
  type -P "$tool" >/dev/null || {
    echo "$tool is missing: apt-get install gcc clang-tidy cppcheck"
    exit 1
  }
done
exec python3 "$root/scripts/lib/analyse.py" "$root/build/host" "$root/tests/host/analysis.excuses"
