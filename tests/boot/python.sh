#!/usr/bin/env bash
# The Python package with a real guest, by its pytest fixture: a dialogue, the xenstore, a mark, a disk, an end; and a test
# that fails, whose report has the console.
# long: yes
# limit: 300
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_shell
cat "$DOM1_GUEST" >"$scratch/initrd.new"
mv "$scratch/initrd.new" "$scratch/initrd"
add_module old xen-blkfront
truncate -s 1M "$scratch/disk"
mkdir "$scratch/tests"
cat >"$scratch/tests/test_guest.py" <<'PYTHON'
import os
import pytest

scratch, kernel = os.environ["SCRATCH"], os.environ["KERNEL"]


def start(dom1_guest):
    guest = dom1_guest(kernel, initrd=f"{scratch}/initrd", append="console=hvc0 quiet", options=["--type", "pvh"])
    guest.expect(r"# $", timeout=60)
    return guest


def test_dialogue(dom1_guest):
    guest = start(dom1_guest)
    assert guest.control.call("info")["name"] == guest.name
    guest.send("echo $((6 * 7))\n")
    assert guest.expect(r"^(\d+)$")[1] == "42"
    assert guest.xenstore.read("/local/domain/1/name") == guest.name.encode()
    guest.send("insmod /xen-blkfront.ko\n")
    guest.attach_disk(f"{scratch}/disk,vdev=xvdb")
    guest.send("while ! [ -b /dev/xvdb ]; do usleep 100000; done; blockdev --getsize64 /dev/xvdb\n")
    guest.expect("^1048576$", timeout=60)
    guest.send("poweroff -f\n")
    assert guest.wait() == 0
    assert guest.report["outcome"] == "poweroff"


def test_that_fails(dom1_guest):
    guest = start(dom1_guest)
    guest.send("echo not $((3 + 3))\n")
    guest.expect("^never$", timeout=3)
PYTHON
status=0
SCRATCH=$scratch KERNEL=$guests/vmlinuz-old PYTHONPATH=$(realpath "$(dirname "$0")/../../python") PYTHONDONTWRITEBYTECODE=1 \
  python3 -m pytest -p dom1.pytest_plugin -p no:cacheprovider "$scratch/tests" >"$out/pytest" 2>&1 || status=$?
[[ $status == 1 ]] || fail "pytest: status $status: $(tail -n 20 "$out/pytest")"
expect "$out/pytest" ".*1 failed, 1 passed.*"
expect "$out/pytest" ".*console of py-.*"
expect "$out/pytest" "not 6"
