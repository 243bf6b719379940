#!/usr/bin/env bash
# A guest that storms its host: hypercalls, ports, MMIO, MSRs, events, the store, rings, grants, pages. It gets nothing by it: the
# domain goes on and answers its control socket, and neither memory nor descriptors nor logs grow. What these are otherwise says
# a guest that only uses its CPU.
# variants: calls devices state vcpus
# long: devices state vcpus
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

questions=15
growth_kib=8192
log_bytes=2000
vcpus=1
[[ $1 != vcpus ]] || vcpus=2

# begin STORM
begin() {
  next_run
  command=(dom1 run --type pvh --kernel "${tools%/*}/guest/guest-abi-64" --memory 64M --vcpus "$vcpus" --timeout 300 --append "hostile $1"
    --name "hostile-$$" --console null --console-log "$run/console" --report "$run/report.json")
  printf '%q ' "${command[@]}" >"$run/command"
  "${command[@]}" </dev/null >"$run/stdout" 2>"$run/stderr" &
  pid=$!
  wait_for "$run/console" '^--- hostile'
  machine=$(machine_of "$pid")
}

# answer_us: the median time of an answer of the control socket, in microseconds, with the program that asks.
answer_us() {
  local i began
  for ((i = 0; i < questions; i++)); do
    began=${EPOCHREALTIME/./}
    timeout 30 dom1 info "hostile-$$" >/dev/null || return 1
    echo $((${EPOCHREALTIME/./} - began))
  done | sort -n | sed -n "$((questions / 2 + 1))p"
}

# size: resident KiB without the guest's own memory, and descriptors.
size() {
  local kib fds
  kib=$(awk '/^Size:/ { large = $2 >= 16384 } /^Rss:/ { if (!large) sum += $2 } END { print sum + 0 }' "/proc/$machine/smaps")
  fds=$(find "/proc/$machine/fd" -mindepth 1 2>/dev/null | wc -l)
  echo "$kib $fds"
}

end() {
  dom1 destroy "hostile-$$" || fail "it cannot be destroyed"
  finish
  expect_status 143
  wait_gone "$machine"
}

rounds() {
  lines "$run/console" | grep -c '^rounds ' || true
}

# storm NAME
storm() {
  local us kib fds before after said
  begin "$1"
  before=$(rounds)
  us=$(answer_us) || fail "$1: the control socket does not answer"
  read -r kib fds <<<"$(size)"
  after=$(rounds)
  kill -0 "$pid" 2>/dev/null || fail "$1: the domain has ended: $(head -n 1 "$run/stderr")"
  # One that says nothing has spoilt its console on purpose.
  if [[ $1 != rings ]]; then
    # At worst the last line is of the round before the first look: then it goes on for as long again.
    ((after > before)) || wait_lines $((before + 1)) "$run/console" '^rounds ' 60
  fi
  end
  # How it ended is one line, with evidence of the guest's.
  said=$(grep -cv '^  ' "$run/stderr" || true)
  echo "$1: answers in $us us, $kib KiB, $fds descriptors, $said lines; with a CPU that is busy $idle_us us, $idle_kib KiB, $idle_fds"
  ((kib <= idle_kib + growth_kib)) || fail "$1: $kib KiB, and $idle_kib without the storm"
  ((fds <= idle_fds + 2)) || fail "$1: $fds descriptors, and $idle_fds without the storm"
  (($(grep -v '^  ' "$run/stderr" | wc -c) <= log_bytes)) || fail "$1: it made dom1 say $(wc -c <"$run/stderr") bytes"
  ! lines "$run/console" | grep -q '^exception\|^Test result' || fail "$1: the guest ended itself: $(lines "$run/console" | tail -n 2)"
}

begin nothing
idle_us=$(answer_us) || fail "the control socket does not answer"
read -r idle_kib idle_fds <<<"$(size)"
end
case $1 in
  calls) storms=(hypercalls user) ;;
  devices) storms=(ports mmio msrs xenstore rings console) ;;
  state) storms=(multicall events grants pages memory) ;;
  vcpus) storms=(placed resets) ;;
esac
for name in "${storms[@]}"; do
  storm "$name"
done
