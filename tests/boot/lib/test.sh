# shellcheck shell=bash
# shellcheck disable=SC2034  # names for the tests
# What boot tests are made of. The runner gives each test:
#   $scratch  a folder for its files, removed afterwards      $DOM1_GUEST  the small guest's initramfs
#   $out      a folder for what is kept                       $guests      guest kernels and the shim
#   $DOM1_BOOT_LIMIT_S  how long the test may take
# and the variant, if it has some, as $1. The working folder is empty and must be so at the end.
set -euo pipefail

scratch=$DOM1_BOOT_SCRATCH
out=$DOM1_BOOT_OUT
guests=$DOM1_GUESTS
tools=$DOM1_TOOLS

# A number nobody can know before: the guest finds it in $nonce.
nonce=$((RANDOM * 32768 + RANDOM))
runs=0

fail() {
  printf 'fail: %s\n' "$*" >&2
  exit 1
}

# guest_script: standard input is the script that the guest runs before it powers off.
guest_script() {
  local tree=$scratch/script
  mkdir -p "$tree"
  cat >"$tree/test"
  # Linux unpacks one archive after the other.
  {
    cat "$DOM1_GUEST"
    (cd "$tree" && echo test | cpio -o -H newc -R 0:0 --quiet | gzip -1)
  } >"$scratch/initrd"
}

# add_to_initrd TREE: what the folder TREE holds, beside what is there.
add_to_initrd() {
  (cd "$1" && find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet | gzip -1) >>"$scratch/initrd"
}

# add_module KERNEL NAME: a driver of that kernel, for the guest to insmod as /NAME.ko.
add_module() {
  local tree=$scratch/more-$2
  mkdir -p "$tree"
  cp "$guests/modules-$1/$2.ko" "$tree/"
  add_to_initrd "$tree"
}

# needed_modules KERNEL NAME...: files of drivers and of what they need, in an order in which they can be loaded; not those
# that are built in.
needed_modules() {
  local dir=$guests/modules-$1 file left=("${@:2}") need
  local -A wanted=()
  while ((${#left[@]})); do
    file=${left[0]}.ko
    left=("${left[@]:1}")
    [[ -e $dir/$file && -z ${wanted[$file]-} ]] || continue
    wanted[$file]=1
    read -r -a need < <(tr '\0' '\n' <"$dir/$file" | sed -n 's/^depends=//p' | tr , ' ')
    left+=("${need[@]}")
  done
  while read -r file; do
    [[ -z ${wanted[$file]-} ]] || printf '%s\n' "$file"
  done <"$dir/order"
}

# add_modules KERNEL NAME...: drivers and what they need: the guest loads from /modules what /modules/order has, line by line.
add_modules() {
  local tree=$scratch/modules file
  mkdir -p "$tree/modules"
  needed_modules "$@" >"$tree/modules/order"
  while read -r file; do
    cp "$guests/modules-$1/$file" "$tree/modules/"
  done <"$tree/modules/order"
  add_to_initrd "$tree"
}

# stage_program TREE NAME: the host's, in TREE/bin, with its libraries where they are here.
stage_program() {
  local tree=$1 file
  mkdir -p "$tree"/{bin,lib64}
  file=$(PATH=$PATH:/usr/sbin:/sbin type -P "$2") || fail "there is no $2 here"
  cp -L "$file" "$tree/bin/$2"
  /lib64/ld-linux-x86-64.so.2 --list "$file" | sed -n 's/^.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' | while read -r file; do
    mkdir -p "$tree${file%/*}"
    cp -L "$file" "$tree$file"
  done
}

# add_program NAME: the host's, with its libraries.
add_program() {
  stage_program "$scratch/more-$1" "$1"
  add_to_initrd "$scratch/more-$1"
}

# The guest without a script: it gives a shell.
guest_shell() {
  ln -sf "$DOM1_GUEST" "$scratch/initrd"
}

# next_run: a folder for what one dom1 says: $run.
next_run() {
  runs=$((runs + 1))
  run=$out/$runs
  mkdir "$run"
}

# guest_options [OPTION...]: sets $command to a usual dom1 run; OPTIONs win. A test may set $type to pvh and $kernel to new.
guest_options() {
  local shim=(--shim "$guests/xen-shim" --shim-log "$run/shim.log")
  [[ ${type-pv} == pv ]] || shim=(--type "$type")
  command=(dom1 run --kernel "$guests/vmlinuz-${kernel-old}" --initrd "$scratch/initrd" "${shim[@]}"
    --append "console=hvc0 quiet dom1.nonce=$nonce" --name "test-$$-$runs" --memory 512M
    --report "$run/report.json" --timeout $((DOM1_BOOT_LIMIT_S - 10)) "$@")
  printf '%q ' "${command[@]}" >"$run/command"
}

# boot [OPTION...]: to its end; sets $status, $run, and $run/console is what it printed.
boot() {
  start "$@" <&0
  finish
}

# start [OPTION...]: in the background; sets $pid. Standard input is the caller's.
start() {
  next_run
  guest_options "$@"
  "${command[@]}" <&0 >"$run/console" 2>"$run/stderr" &
  pid=$!
}

# finish: waits for its end; sets $status.
finish() {
  status=0
  wait "$pid" || status=$?
}

expect_status() {
  [[ $status == "$1" ]] || fail "status $status, not $1: $(head -n 1 "$run/stderr")"
}

# lines FILE: as text; a console ends its lines with CR LF.
lines() {
  tr -d '\r' <"$1"
}

# expect FILE REGEX: a whole line matches (extended).
expect() {
  lines "$1" | grep -qxE -- "$2" || fail "no line in ${1##*/} is '$2'"
}

refuse() {
  ! lines "$1" | grep -qE -- "$2" || fail "a line in ${1##*/} has '$2'"
}

# wait_for FILE REGEX [SECONDS]: a line matches (extended). The limit is for something that hangs: most of the test's.
wait_for() {
  wait_lines 1 "$@"
}

# wait_lines NUMBER FILE REGEX [SECONDS]: so many lines match.
wait_lines() {
  local steps=0
  until [[ -e $2 ]] && (($(lines "$2" | grep -cE -- "$3") >= $1)); do
    ((++steps < ${4-$((DOM1_BOOT_LIMIT_S * 3 / 4))} * 10)) || fail "'$3' did not come $1 times in ${2##*/}"
    kill -0 "$pid" 2>/dev/null || fail "dom1 ended before '$3' came $1 times in ${2##*/}"
    sleep 0.1
  done
}

# expect_one_line FILE REGEX: exactly one line, and it matches.
expect_one_line() {
  [[ $(wc -l <"$1") == 1 ]] || fail "${1##*/} has $(wc -l <"$1") lines, not one: $(head -n 3 "$1")"
  expect "$1" "$2"
}

# expect_words FILE REGEX: the first line matches; what dom1 adds to it as evidence is indented.
expect_words() {
  expect <(head -n 1 "$1") "$2"
  ! tail -n +2 "$1" | grep -qv '^  ' || fail "${1##*/} has more than one line that is not indented"
}

# release_of KERNEL: what uname -r says in a guest of old or new, from the file's place in its package.
release_of() {
  local file
  file=$(realpath "$guests/vmlinuz-$1")
  if [[ ${file##*/} == vmlinuz-* ]]; then
    printf '%s\n' "${file##*/vmlinuz-}"
  else
    file=${file%/*}
    printf '%s\n' "${file##*/}"
  fi
}

# open_keys: opens $keys, on which the test types at the console of what is then started with <"$scratch/keys".
open_keys() {
  mkfifo "$scratch/keys"
  # Open in both directions: else this would wait for the reader, and the reader see an end too early.
  exec {keys}<>"$scratch/keys"
}

type_line() {
  printf '%s\n' "$1" >&"$keys"
}

# machine_of PID: the process in which the domain of a launcher runs.
machine_of() {
  local child children
  read -r -a children <"/proc/$1/task/$1/children" || true
  for child in "${children[@]}"; do
    if [[ $(cat "/proc/$child/comm") == dom1-machine ]]; then
      printf '%s\n' "$child"
      return 0
    fi
  done
  fail "process $1 has no child dom1-machine"
}

# wait_gone PID
wait_gone() {
  local steps=0
  while [[ -d /proc/$1 ]]; do
    ((++steps < 100)) || fail "process $1 does not end"
    sleep 0.1
  done
}

# facts: of a run's report, as lines "KEY VALUE"; phases as "phase NAME TEXT".
facts() {
  "$tools/report-facts" "$run/report.json" >"$run/facts" || fail "report.json is not a report"
}

# expect_outcome WORD STATUS: in the report.
expect_outcome() {
  facts
  expect "$run/facts" "outcome $1"
  expect "$run/facts" "status $2"
}
