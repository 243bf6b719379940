#!/usr/bin/env bash
# The workflow and the manifest in docs/ci are what their schemas want; programs with the schemas come from npm, into a scratch
# folder. GitLab's schema is only in programs that need a newer Node.js than Debian has.
# limit: 600
# usage: schemas.sh OUT
set -euo pipefail

recipes=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../docs/ci" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  printf 'fail: %s\n' "$*"
  exit 1
}

type -P npm >/dev/null || fail "npm is missing: apt-get install npm"
cd "$work"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund @action-validator/core @action-validator/cli kubernetes-models yaml ||
  fail "npm could not install the schemas: see above"

cat >job.js <<'END'
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { Job } from 'kubernetes-models/batch/v1';
new Job(parse(readFileSync(process.argv[2], 'utf8'))).validate();
END

# valid FILE, by the schema that its name says.
valid() {
  case $1 in
    *github.yml) npx --no-install action-validator "$1" >"$work/words" 2>&1 ;;
    *) node job.js "$1" >"$work/words" 2>&1 ;;
  esac
}

# check NAME FROM TO: is valid, and is not any more with FROM replaced.
check() {
  valid "$recipes/$1" || fail "$1: $(head -n 20 "$work/words")"
  sed "s/$2/$3/" "$recipes/$1" >"$work/bad-$1"
  ! cmp -s "$recipes/$1" "$work/bad-$1" || fail "$1 has no $2"
  ! valid "$work/bad-$1" || fail "$1: its schema takes $3"
}

check github.yml '^    steps:' '    stepz:'
check kubernetes.yaml 'completions: [0-9]*' 'completions: two'
