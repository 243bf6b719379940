#!/usr/bin/env bash
# A million revokes in one run, without a stale access (R6): the stress of tests/boot/lend.sh, for half an hour.
# variants: memfd guest_memfd
# long: memfd guest_memfd
# limit: 3600
exec bash "$(dirname "$0")/lend.sh" "stress-$1-1000000-64"
