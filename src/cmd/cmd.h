// SPDX-License-Identifier: MIT
/* The commands of dom1: each takes its own arguments (argv[0] is its name) and returns the exit status. */
#pragma once

#include <stdint.h>

/* exec_ns: CLOCK_MONOTONIC when dom1 was started, for the report. */
int cmd_run(int argc, char **argv, uint64_t exec_ns);
int cmd_check(int argc, char **argv, uint64_t exec_ns);
