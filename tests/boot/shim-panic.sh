#!/usr/bin/env bash
# A shim that panics ends the domain at once, with its last words. Here: it is told to use too little for Linux.
# limit: 60
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"

guest_shell
boot --shim-append mem=100M
expect_status 35
expect_words "$run/stderr" "dom1: .*shim.*Not enough RAM.*"
expect_outcome shim-crash 35
