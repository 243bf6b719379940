# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # names of test.sh
# What tests of refusals share.
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "${BASH_SOURCE[0]}")/test.sh"

# refused STATUS REGEX [OPTION...]: dom1 run is, with that status and one line. The shim's log is the last file but the
# report that is opened before the machine starts; where it is there, something was started.
refused() {
  refused_unlogged "$@"
  [[ ! -s $run/shim.log ]] || fail "dom1 ${*:3}: something was started"
}

# The same where the option is about a log.
refused_unlogged() {
  local expected=$1 regex=$2
  shift 2
  boot "$@" </dev/null
  expect_refusal "$expected" "$regex"
  [[ ! -d $XDG_RUNTIME_DIR/dom1/test-$$-$runs ]] || fail "dom1 $*: a folder is left behind"
}

# refused_command STATUS REGEX COMMAND...
refused_command() {
  local expected=$1 regex=$2
  shift 2
  next_run
  printf '%q ' "$@" >"$run/command"
  status=0
  "$@" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
  expect_refusal "$expected" "$regex"
}

expect_refusal() {
  expect_status "$1"
  expect_one_line "$run/stderr" "dom1: .*$2.*"
  [[ ! -s $run/console ]] || fail "something on standard output"
}

# closed_to PATH COMMAND...: with that as its standard output; -: closed.
closed_to() {
  local to=$1
  shift
  if [[ $to == - ]]; then "$@" >&-; else "$@" >"$to"; fi
}
