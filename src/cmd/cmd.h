// SPDX-License-Identifier: MIT
/* The commands of dom1: each takes its own arguments (argv[0] is its name) and returns the exit status. */
#pragma once

#include <stdint.h>

struct record;

/* exec_ns: CLOCK_MONOTONIC when dom1 was started, for the report. */
int cmd_run(int argc, char **argv, uint64_t exec_ns);
/* The same for a caller that reads the record when it is over, from another process. */
int run_with_record(int argc, char **argv, struct record *record);
int cmd_exec(int argc, char **argv, uint64_t exec_ns);
int cmd_test(int argc, char **argv, uint64_t exec_ns);
int cmd_report(int argc, char **argv, uint64_t exec_ns);
int cmd_check(int argc, char **argv, uint64_t exec_ns);

/* On running domains. */
int cmd_list(int argc, char **argv, uint64_t exec_ns);
int cmd_info(int argc, char **argv, uint64_t exec_ns);
int cmd_console(int argc, char **argv, uint64_t exec_ns);
int cmd_save(int argc, char **argv, uint64_t exec_ns);
int cmd_saved(int argc, char **argv, uint64_t exec_ns);
int cmd_clone(int argc, char **argv, uint64_t exec_ns);
int cmd_pause(int argc, char **argv, uint64_t exec_ns);
int cmd_unpause(int argc, char **argv, uint64_t exec_ns);
int cmd_shutdown(int argc, char **argv, uint64_t exec_ns);
int cmd_reboot(int argc, char **argv, uint64_t exec_ns);
int cmd_destroy(int argc, char **argv, uint64_t exec_ns);
int cmd_sysrq(int argc, char **argv, uint64_t exec_ns);
int cmd_disk(int argc, char **argv, uint64_t exec_ns);
int cmd_lend(int argc, char **argv, uint64_t exec_ns);
int cmd_balloon(int argc, char **argv, uint64_t exec_ns);
int cmd_vcpu_set(int argc, char **argv, uint64_t exec_ns);
int cmd_trigger(int argc, char **argv, uint64_t exec_ns);
int cmd_events(int argc, char **argv, uint64_t exec_ns);
int cmd_xenstore(int argc, char **argv, uint64_t exec_ns);
