#!/usr/bin/env bash
# What is typed at the console reaches the guest's shell; also what was typed before there was a guest (the shim alone
# would panic about it).
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_shell
open_keys
start <"$scratch/keys"
for ((i = 0; i < 20; i++)); do
  type_line "echo \"ahead \$(($nonce + $i))\""
  sleep 0.2
done
wait_for "$run/console" "^ahead $((nonce + 19))"
type_line "echo \"product \$((6*7)) \$(($nonce + 5))\""
wait_for "$run/console" "^product 42"
type_line exit
finish
expect_status 0
expect "$run/console" "product 42 $((nonce + 5))"
