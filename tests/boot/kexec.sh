#!/usr/bin/env bash
# A guest starts another kernel in its own place: kexec, and the crash kernel of one that panics on its second vCPU. The
# second kernel has console, xenstore and vCPUs as the first had them.
# variants: now-old now-new crash-old crash-new
# long: now-old now-new crash-old crash-new
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

IFS=- read -r how kernel <<<"$1"
# add SCRIPT OUT [FOLDER]: the small guest, which runs SCRIPT, and has what is in FOLDER.
add() {
  local tree=${3:-$scratch/tree-$RANDOM}
  mkdir -p "$tree"
  cp "$1" "$tree/test"
  {
    cat "$DOM1_GUEST"
    (cd "$tree" && find . -mindepth 1 | cpio -o -H newc -R 0:0 --quiet | gzip -1)
  } >"$2"
}

cat >"$scratch/second" <<'GUEST'
echo "second kernel $((nonce * 3))"
echo "cpus $(nproc)"
xenstore write data/mark "second $((nonce * 5))"
echo "name $(xenstore read name)"
echo "wrote $(xenstore read data/before 2>&1)"
GUEST
mkdir -p "$scratch/first/boot"
cp -L "$guests/vmlinuz-$kernel" "$scratch/first/boot/vmlinuz"
add "$scratch/second" "$scratch/first/boot/initrd"
{
  echo "how=$how"
  cat <<'GUEST'
echo "first kernel $((nonce + 1))"
xenstore write data/before "$nonce"
words="console=hvc0 quiet dom1.nonce=$nonce"
[ "$how" = now ] || words="$words nr_cpus=1 reset_devices"
kexec "$how" /boot/vmlinuz /boot/initrd "$words"
echo "kexec $?"
[ "$how" = crash ] || exit
taskset -c 1 sh -c 'echo c >/proc/sysrq-trigger'
GUEST
} >"$scratch/script"
add "$scratch/script" "$scratch/initrd" "$scratch/first"

next_run
status=0
command=(dom1 run --type pvh --kernel "$guests/vmlinuz-$kernel" --initrd "$scratch/initrd" --vcpus 2 --memory 1G
  --append "console=hvc0 quiet dom1.nonce=$nonce crashkernel=256M" --name "kexec-$$" --report "$run/report.json"
  --timeout 380)
printf '%q ' "${command[@]}" >"$run/command"
"${command[@]}" </dev/null >"$run/console" 2>"$run/stderr" || status=$?
expect_status 0
expect "$run/console" "first kernel $((nonce + 1))"
expect "$run/console" "second kernel $((nonce * 3))"
if [[ $how == now ]]; then
  expect "$run/console" "cpus 2"
else
  expect "$run/console" "cpus 1"
fi
expect "$run/console" "name kexec-$$"
# The xenstore is as at the start: nothing of what the first kernel wrote.
expect "$run/console" "wrote .+"
refuse "$run/console" "wrote $nonce"
facts
expect "$run/facts" "phase mark second $((nonce * 5))"
expect "$run/facts" "restarts 0"
