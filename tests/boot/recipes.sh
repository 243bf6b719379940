#!/usr/bin/env bash
# The recipes in docs/ci do what docs/ci.md says: their commands are taken out of the files and run, shard by shard.
# variants: github gitlab kubernetes
# long: yes
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/shards.sh
source "$(dirname "$0")/lib/shards.sh"

here=$(cd "$(dirname "$0")" && pwd -P)
declare -A files=([github]=github.yml [gitlab]=gitlab.yml [kubernetes]=kubernetes.yaml)
file=$(realpath "$here/../../docs/ci")/${files[$1]}
declare -A left=([github]='results-*' [gitlab]='results-*' [kubernetes]='results/*')

# commands WORD...: as the CI system would run them; sets $status.
commands() {
  next_run
  python3 "$here/lib/recipe.py" "$file" "$@" >"$run/command" || fail "$file has no $*"
  status=0
  bash "$run/command" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
}

mkdir "$scratch/work"
cd "$scratch/work"
make_guests guests
shards=$(python3 "$here/lib/recipe.py" "$file" shards)
((shards > 1)) || fail "$file has no shards"
worst=0
for ((i = 1; i <= shards; i++)); do
  commands shard "$i"
  # Of the nine one crashes, and that is worse than a failure.
  ((status == 1 || status == 34)) || fail "shard $i: status $status: $(head -n 1 "$run/stderr")"
  ((worst > status)) || worst=$status
done
((worst == 34)) || fail "no shard has the crash"
mapfile -t documents < <(compgen -G "${left[$1]}/junit.xml")
[[ ${#documents[@]} == "$shards" ]] || fail "${#documents[@]} documents of $shards shards"
expect_partition guests "${documents[@]}"
commands results
expect_status 1
expect_results junit.xml
cp junit.xml "$out/"

# One shard never came.
rm -r "${documents[0]%/*}"
commands results
expect_status 4
expect "$run/stderr" "dom1: report: shards are missing: 1 of $shards: .*"
expect junit.xml '.*<error type="host-error" message="missing: shards 1 of .*'
