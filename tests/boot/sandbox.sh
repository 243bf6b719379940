#!/usr/bin/env bash
# What the machine process is locked in by, as the host's kernel shows it: with all layers, without any, and where one is
# missing that was asked for.
# variants: on off strict
# long: off strict
# limit: 240
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

type=pvh
guest_script <<'GUEST'
echo "ready $((nonce + 1))"
read -r _
GUEST
open_keys

# begin OPTION...: sets $machine when the guest is up.
begin() {
  start "$@" <"$scratch/keys"
  wait_for "$run/console" "^ready $((nonce + 1))"
  machine=$(machine_of "$pid")
}

end() {
  type_line enough
  finish
  expect_status 0
  tr -d ' \n' <"$run/report.json" >"$run/flat"
}

# own KIND: the machine has a namespace of this kind that is not ours.
own() {
  [[ $(readlink "/proc/$machine/ns/$1") != $(readlink "/proc/self/ns/$1") ]]
}

# of FIELD: what the kernel says of the machine.
of() {
  sed -n "s/^$1:[[:space:]]*//p" "/proc/$machine/status"
}

locked_in() {
  local kind
  for kind in user net ipc uts mnt; do
    own "$kind" || fail "the machine has no namespace of its own: $kind"
  done
  [[ $(of NSpid) == *[[:space:]]1 ]] || fail "it is not the first process of a PID namespace: $(of NSpid)"
  [[ -z $(ls -A "/proc/$machine/root/") ]] || fail "its root is not empty"
  ! touch "/proc/$machine/root/file" 2>/dev/null || fail "its root can be written to"
  [[ $(of CapEff) =~ ^0+$ && $(of CapPrm) =~ ^0+$ && $(of CapBnd) =~ ^0+$ ]] || fail "it has capabilities: $(of CapEff) $(of CapBnd)"
  [[ $(of NoNewPrivs) == 1 ]] || fail "it may gain privileges"
  grep -q '^Max core file size *0 *0 ' "/proc/$machine/limits" || fail "it may leave a core"
}

case $1 in
  on)
    begin
    locked_in
    end
    grep -qF '"sandbox":["user_namespace","network_namespace","ipc_namespace","pid_namespace","empty_root","landlock","no_capabilities","limits"]' \
      "$run/flat" || fail "the report does not have all layers"
    ;;
  off)
    begin --sandbox=off
    # What locked_in() looks at is not so by itself.
    if (locked_in) 2>/dev/null; then fail "it is locked in although that is off"; fi
    ! own user || fail "it has a user namespace of its own"
    end
    grep -qF '"sandbox":[]' "$run/flat" || fail "the report has layers"
    ;;
  strict)
    begin --sandbox=strict
    locked_in
    end
    # A host that allows no more PID namespaces.
    before=$(</proc/sys/user/max_pid_namespaces)
    trap 'echo "$before" >/proc/sys/user/max_pid_namespaces' EXIT
    echo 0 >/proc/sys/user/max_pid_namespaces
    boot --sandbox=strict </dev/null
    expect_status 3
    expect_words "$run/stderr" "dom1: .*--sandbox=strict: this host does not give the machine its layer pid_namespace.*"
    boot --sandbox=on <<<enough
    expect_status 0
    tr -d ' \n' <"$run/report.json" | grep -qF '"ipc_namespace","empty_root"' || fail "the report has a layer that is missing"
    ;;
esac
