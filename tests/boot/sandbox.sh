#!/usr/bin/env bash
# What the machine process is locked in by, as the host's kernel shows it: with all layers, without any, and where one is
# missing that was asked for.
# variants: on off strict violation log user
# long: off strict violation log user
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
  # Quoted: it has brackets, and would be a pattern.
  [[ $(readlink "/proc/$machine/ns/$1") != "$(readlink "/proc/self/ns/$1")" ]]
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
  filtered
}

# The first of the users that root's machines are: SANDBOX_USER_BASE.
first_user=1677721600

# is_nobody: the machine is a user that has only this domain, with one group and no others.
is_nobody() {
  local user=$((first_user + pid))
  [[ $(of Uid) == "$user"[[:space:]]"$user"[[:space:]]"$user"[[:space:]]"$user" ]] || fail "it is another user than $user: $(of Uid)"
  [[ $(of Gid) == "$first_user"[[:space:]]* && -z $(of Groups | tr -d '[:space:]') ]] || fail "its groups: $(of Gid) $(of Groups)"
}

# as_user PROGRAM...: by somebody who is not root.
as_user() {
  setpriv --reuid 1000 --regid 1000 --clear-groups "$@"
}

# filtered: each thread has a filter, one more than what dom1 itself runs under.
filtered() {
  local dir names=
  for dir in "/proc/$machine/task"/*; do
    [[ $(sed -n 's/^Seccomp:[[:space:]]*//p' "$dir/status") == 2 ]] || fail "a thread has no filter: $(<"$dir/comm")"
    # KVM has one of its own in each process that has a VM.
    [[ $(<"$dir/comm") == kvm-* ]] || names+="$(<"$dir/comm")"$'\n'
  done
  # All of them are there from the start.
  [[ $(sort <<<"${names%$'\n'}" | tr '\n' ' ') == "dom1-io dom1-loader dom1-machine dom1-mapper dom1-vcpu0 " ]] ||
    fail "other threads: $names"
}

# thread NAME: its number.
thread() {
  local dir
  for dir in "/proc/$machine/task"/*; do
    [[ $(<"$dir/comm") != "$1" ]] || printf '%s\n' "${dir##*/}"
  done
}

# The number of getppid(), which nobody needs.
getppid=110

case $1 in
  on)
    begin
    locked_in
    end
    grep -qF '"sandbox":["unprivileged_user","user_namespace","network_namespace","ipc_namespace","pid_namespace","empty_root","landlock","no_capabilities","limits","seccomp"]' \
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
  user)
    begin
    is_nobody
    # It removes the domain's folder although the launcher is not there to do it, and root is still the one who may enter it.
    [[ $(dom1 list) == *test-$$-$runs* ]] || fail "dom1 list does not have it: $(dom1 list)"
    kill -KILL "$pid"
    finish
    wait_gone "$machine"
    begin --sandbox=off
    [[ $(of Uid) == 0[[:space:]]* ]] || fail "without a sandbox it is not root's: $(of Uid)"
    if (is_nobody) 2>/dev/null; then fail "it is nobody although that is off"; fi
    end
    # A setuid dom1 writes nothing that the one who starts it may not.
    folder=$(mktemp -d -p /tmp)
    trap 'rm -rf "$folder"' EXIT
    chmod 755 "$folder"
    mkdir -m 700 "$folder/closed"
    touch "$folder/closed/file"
    cp "$(type -P dom1)" "$(type -P stat)" "$folder"
    chmod 4755 "$folder/dom1" "$folder/stat"
    as_user "$folder/stat" "$folder/closed/file" >/dev/null || fail "the bit has no effect here"
    next_run
    status=0
    as_user "$folder/dom1" run --kernel /none "--dump-dtb=$folder/closed/tree" 2>"$run/stderr" || status=$?
    expect_status 2
    expect_words "$run/stderr" "dom1: .*cannot write: Permission denied.*"
    "$folder/dom1" run --kernel /none "--dump-dtb=$folder/closed/tree" || fail "root may not write it either"
    ;;
  violation)
    # Somebody has taken over a thread. Each kind has filters of its own.
    for name in dom1-vcpu0 dom1-io dom1-mapper dom1-machine; do
      begin
      "$tools/make-syscall" "$(thread "$name")" "$getppid"
      finish
      expect_status 125
      expect_words "$run/stderr" "dom1: .*the thread $name made the system call getppid .110., which its sandbox does not allow.*"
      expect_outcome host-error 125
    done
    ;;
  log)
    begin --sandbox=log
    locked_in
    "$tools/make-syscall" "$(thread dom1-io)" "$getppid"
    end
    dmesg | grep -q "type=1326.*comm=\"dom1-io\".*syscall=$getppid " || fail "the kernel's log has nothing of the call"
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
