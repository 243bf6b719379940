// SPDX-License-Identifier: MIT
/*
 * dom1 run: from the command line to the exit status.
 *
 * Whatever can fail because of what a person named fails here, before anything is started: the kernel is unpacked, the
 * boot plan is made, files are open. prepare() and its steps are the order; release() undoes it.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/console_files.h"
#include "cmd/cmd.h"
#include "cmd/run.h"
#include "config/guest_file.h"
#include "inject/inject.h"
#include "vmm/error.h"
#include "vmm/evidence_print.h"
#include "vmm/kvm.h"
#include "vmm/one_line.h"
#include "vmm/report.h"

static void close_vhosts(struct run *run)
{
	for (size_t i = 0; i < run->setup.n_vhosts; i++)
		vhost_backend_close(&run->setup.vhosts[i]);
	g_free(run->setup.vhosts);
}

/* Standard output may be closed, or full. */
static int print_all(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return DOM1_STATUS_OK;
	fprintf(stderr, "dom1: cannot write to standard output: %s\n", g_strerror(errno));
	return DOM1_STATUS_USAGE;
}

static int dry_run(const struct run *run)
{
	run_print_plan(run);
	return print_all("");
}

static bool dump_tree(const struct run *run, GError **error)
{
	const char *path = run->config.dump_dtb_path;
	GBytes *bytes = guest_file_dump(&run->config, error);

	if (!bytes)
		return false;
	size_t len_bytes;
	const char *tree = g_bytes_get_data(bytes, &len_bytes);
	FILE *file = fopen(path, "we");
	bool written = file && fwrite(tree, 1, len_bytes, file) == len_bytes;

	if (file && fclose(file) != 0)
		written = false;
	if (!written)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--dump-dtb=%s: cannot write: %s", path, g_strerror(errno));
	g_bytes_unref(bytes);
	return written;
}

/* Whoever wants to see the same again needs the seed. */
static void tell_seeds(const struct run *run)
{
	const struct inject_plan *plan = run->config.inject;

	for (size_t i = 0; plan && i < plan->n_rules; i++) {
		g_autofree char *text = one_line(plan->rules[i].text);

		if (plan->rules[i].is_random && !plan->rules[i].has_seed)
			fprintf(stderr, "dom1: %s: --inject=%s,seed=%" PRIu64 "\n", run->config.name, text, plan->rules[i].seed);
	}
}

static bool prepare(struct run *run, GError **error)
{
	for (guint i = 0; run->config.warnings && i < run->config.warnings->len; i++)
		fprintf(stderr, "dom1: %s\n", (const char *)run->config.warnings->pdata[i]);
	/* Before the images: a description may be written on a host that lacks them. */
	if (run->config.dump_dtb_path && !dump_tree(run, error))
		return false;
	if (run->config.dump_dtb_path && !run->config.dry_run)
		return true;
	if (!run_make_plan(run, error))
		return false;
	if (run->config.dry_run)
		return true;
	run->setup.kvm_fd = kvm_open(NULL, error);
	if (run->setup.kvm_fd < 0 || (run->setup.restored && !machine_check_restore(run->setup.restored, run->setup.kvm_fd, error)) ||
	    !memory_backing_check(run->config.memory_backing, run->setup.kvm_fd, error) ||
	    !run_folder_take(&run->folder, run->config.name, error) ||
	    !block_files_open(&run->setup.disks, &run->setup.n_disks, run->config.disks, error) ||
	    (run->setup.restored && !run_fill_saved_disks(run, error)) ||
	    !nics_open(&run->setup.nics, &run->setup.n_nics, run->config.vifs, run->config.max_vcpus, error))
		return false;
	bool opened = run_open_files(run, error);
	run_settle_files(run, !opened);
	return opened;
}

static void init(struct run *run, struct record *record)
{
	*run = (struct run){
		.saved.file.fd = -1,
		.save_file = NEW_FILE_NONE,
		.stream_fd = -1,
		.folder = { .parent_fd = -1, .fd = -1, .lock_fd = -1 },
		.setup = {
			.config = &run->config,
			.record = record,
			.kvm_fd = -1,
			.launcher_fd = -1,
			.control_fd = -1,
			.xenstore_fd = -1,
			.shim_log_fd = -1,
			.trace_fd = STDERR_FILENO,
			.core_fd = -1,
			.save_at_fd = -1,
			.console = CONSOLE_FILES_NONE,
			.lending.listen_fd = -1,
			.lend_to_fd = -1,
			.memory_lent_fd = -1,
			.tty_fd = -1,
			.folder_fd = -1,
			.folder_parent_fd = -1,
			.folder_lock_fd = -1,
		},
		.launcher = { .stdin_fd = -1, .input_fd = -1, .machine_fd = -1, .machine_end_fd = -1 },
		.tty = { .fd = -1 },
		.report_fd = -1,
	};
}

static void release(struct run *run)
{
	tty_restore(&run->tty);
	run_close_files(run);
	run_folder_release(&run->folder);
	block_files_close(run->setup.disks, run->setup.n_disks);
	nics_close(run->setup.nics, run->setup.n_nics);
	close_vhosts(run);
	saved_image_close(&run->saved);
	if (run->stream_fd >= 0)
		close(run->stream_fd);
	boot_plan_free(run->plan);
	g_free(run->shim_command_line);
	g_free(run->guest_command_line);
	symbols_free(run->symbols);
	kernel_bytes_clear(&run->kernel);
	mapped_file_close(&run->initrd);
	mapped_file_close(&run->shim);
	vm_config_clear(&run->config);
}

/* Between here and release() the terminal is raw: nothing is printed. */
static bool run_domain(struct run *run, struct launcher_end *end, GError **error)
{
	sigset_t signals;

	launcher_block_signals(&signals);
	run->setup.plan = run->plan;
	run->setup.sandbox = (struct sandbox){ .mode = run->config.sandbox, .record = run->setup.record };
	/* Where it cannot be given away, the machine stays root's, without root's capabilities. */
	const uid_t user = sandbox_user();
	if (user != 0 && run->config.sandbox != SANDBOX_OFF && run_folder_give(&run->folder, user))
		run->setup.sandbox.uid = user;
	run->setup.sample_memory = run->report_fd >= 0 && !run->config.no_memory_samples;
	run->setup.folder_fd = run->folder.fd;
	run->setup.folder_parent_fd = run->folder.parent_fd;
	run->setup.folder_lock_fd = run->folder.lock_fd;
	run->setup.folder_name = run->folder.name;
	record_phase(run->setup.record, PHASE_EXEC, NULL);
	if (run->config.inject)
		run->config.inject->counts = run->setup.record->injected;
	tell_seeds(run);
	if (run->launcher.stdin_fd >= 0)
		tty_enter_raw(&run->tty, run->launcher.stdin_fd);
	run->setup.tty_fd = run->tty.fd;
	run->setup.tty_state = run->tty.state;

	bool ran = launcher_run(&run->setup, &run->launcher, &signals, end, error);
	tty_restore(&run->tty);
	run->tty.fd = -1;
	run->ran = ran;
	if (ran)
		record_phase(run->setup.record, PHASE_EXIT, NULL);
	return ran;
}

static void print_end(FILE *stream, const struct run *run)
{
	const struct record *record = run->setup.record;
	const enum outcome outcome = record_outcome(record);

	/* A guest's words may be in it. */
	g_autofree char *words = g_strndup(record->detail, sizeof(record->detail));
	g_autofree char *detail = one_line(words);
	fprintf(stream, "dom1: %s: %s%s%s\n", run->config.name, OUTCOME_NAMES[outcome],
		detail[0] ? ": " : "", detail);
	/* Who ended it on purpose needs no evidence. The console's last lines are for who has not seen them pass by. */
	if (outcome != OUTCOME_DESTROYED && outcome != OUTCOME_REBOOT)
		evidence_print(stream, record, run->symbols, run->config.console != CONSOLE_STDIO);
}

/* In one piece: who reads it wakes up once, and those of several runs do not mix. */
static void tell_end(const struct run *run, const struct launcher_end *end)
{
	char *text = NULL;
	size_t len_bytes;
	FILE *stream = end->status == DOM1_STATUS_OK ? NULL : open_memstream(&text, &len_bytes);

	if (!stream)
		return;
	print_end(stream, run);
	if (fclose(stream) == 0)
		fputs(text, stderr);
	free(text);
}

static void print_error(const GError *error)
{
	g_autofree char *text = one_line(error->message);

	fprintf(stderr, "dom1: %s\n", text);
}

static bool write_report(const struct run *run, const struct launcher_end *end, GError **error)
{
	return !run->ran || run->report_fd < 0 ||
	       report_write(run->report_fd, run->config.report_path, &run->setup, end, run->symbols, error);
}

/* How the guest ended says more, unless that is nothing. */
static void tell_problem(struct launcher_end *end, const GError *error)
{
	print_error(error);
	end->status = end->status == DOM1_STATUS_OK ? error->code : end->status;
}

static void finish(struct run *run, struct launcher_end *end)
{
	g_autoptr(GError) error = NULL;

	tell_end(run, end);
	run_settle_core(run);
	if (!run_settle_saved(run, &error))
		tell_problem(end, error);
}

int run_with_record(int argc, char **argv, struct record *record)
{
	struct run run;
	struct launcher_end end = { .status = DOM1_STATUS_DEFECT };
	g_autoptr(GError) error = NULL;

	init(&run, record);
	if (vm_config_parse(&run.config, argc, argv, &error) && (run.config.help || prepare(&run, &error))) {
		if (run.config.help)
			end.status = print_all(run.config.help);
		else if (run.config.dry_run)
			end.status = dry_run(&run);
		else if (run.config.dump_dtb_path)
			end.status = DOM1_STATUS_OK;
		else if (run_domain(&run, &end, &error))
			finish(&run, &end);
	}
	if (error) {
		print_error(error);
		end.status = error->code;
	} else if (!write_report(&run, &end, &error)) {
		tell_problem(&end, error);
	}
	release(&run);
	return end.status;
}

int cmd_run(int argc, char **argv, uint64_t exec_ns)
{
	struct record *record = record_new(exec_ns);

	if (record)
		return run_with_record(argc, argv, record);
	fputs("dom1: out of memory\n", stderr);
	return DOM1_STATUS_HOST;
}
