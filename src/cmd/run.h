// SPDX-License-Identifier: MIT
/*
 * The parts of dom1 run, in the launcher, in the order in which they are used: run_plan.c says what the domain is, run_print.c shows
 * it, run_files.c opens what it reads and writes, run.c starts it.
 */
#pragma once

#include <stdbool.h>

#include "config/channel_option.h"
#include "config/vm_config.h"
#include "saved/image.h"
#include "saved/new_file.h"
#include "shim/boot_plan.h"
#include "shim/unpack.h"
#include "vmm/launcher.h"
#include "vmm/machine.h"
#include "vmm/mapped_file.h"
#include "vmm/run_folder.h"
#include "vmm/symbols.h"

#define MAX_OUTPUT_FILES    (6 + CHANNELS_MAX)

struct output_file {
	int fd;
	const char *created_path; /* NULL: it was there before */
};

struct run {
	struct vm_config config;
	struct kernel_bytes kernel;
	struct mapped_file shim, initrd;
	char *shim_command_line;
	char *guest_command_line; /* the person's, and what dom1 adds */
	struct boot_plan *plan;
	struct saved_image saved; /* empty: the domain boots */
	int stream_fd; /* what came of it by standard input; -1: it did not */
	struct run_folder folder;
	struct machine_setup setup;
	struct launcher_files launcher;
	struct tty tty;
	struct symbols *symbols;
	int report_fd;
	bool ran; /* there is something to report */
	struct new_file save_file; /* of --save-at */
	struct output_file outputs[MAX_OUTPUT_FILES];
	size_t n_outputs;
	char *socket_path; /* to be removed: the console's */
};

/* The domain's kernel, or what was saved of it, and its layout. FALSE: DOM1_STATUS_USAGE, _HOST or _FILE. */
bool run_make_plan(struct run *run, GError **error);

/* Of a domain that was saved: its disks, before and after they are opened. FALSE: DOM1_STATUS_FILE. */
bool run_name_saved_disks(struct run *run, GError **error);
bool run_fill_saved_disks(struct run *run, GError **error);

/* On standard output. */
void run_print_plan(const struct run *run);

/* FALSE: DOM1_STATUS_USAGE or _HOST; what was opened by then is run_settle_files()'s and run_close_files()'s. */
bool run_open_files(struct run *run, GError **error);
/* Files are emptied, or, if the domain is refused, as they were. */
void run_settle_files(struct run *run, bool refused);
/* What is left at the end in the file system besides files that a person named. */
void run_close_files(struct run *run);
/*
 * What --save-at has written gets its name; TRUE without that option, and where something worse was said. FALSE: why there is no
 * file, DOM1_STATUS_TEST_FAILED or _USAGE.
 */
bool run_settle_saved(struct run *run, GError **error);
/* A core that was not written leaves no file where there was none. */
void run_settle_core(const struct run *run);
