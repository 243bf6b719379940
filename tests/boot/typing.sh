#!/usr/bin/env bash
# What is typed at the console reaches the guest's shell.
# limit: 120
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_shell
open_keys
start <"$scratch/keys"
wait_for "$run/console" "# "
type_line "echo \"product \$((6*7)) \$(($nonce + 5))\""
wait_for "$run/console" "^product 42"
type_line exit
finish
expect_status 0
expect "$run/console" "product 42 $((nonce + 5))"
