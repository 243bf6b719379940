// SPDX-License-Identifier: MIT
/*
 * dom1 run: from the command line to the exit status.
 *
 * Whatever can fail because of what a person named fails here, before anything is started: the kernel is unpacked, the
 * boot plan is made, files are open. prepare() and its steps are the order; release() undoes it.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/console_files.h"
#include "cmd/cmd.h"
#include "config/auto_append.h"
#include "config/channel_option.h"
#include "config/guest_config.h"
#include "config/guest_file.h"
#include "config/net_option.h"
#include "config/vm_config.h"
#include "control/folders.h"
#include "inject/inject.h"
#include "saved/image.h"
#include "shim/boot_plan.h"
#include "shim/elf.h"
#include "shim/find_shim.h"
#include "shim/kernel_image.h"
#include "shim/pv_check.h"
#include "shim/unpack.h"
#include "vmm/error.h"
#include "vmm/evidence_print.h"
#include "vmm/kvm.h"
#include "vmm/launcher.h"
#include "vmm/machine.h"
#include "vmm/mapped_file.h"
#include "vmm/one_line.h"
#include "vmm/report.h"
#include "vmm/run_folder.h"
#include "vmm/symbols.h"

#define MAX_OUTPUT_FILES    (6 + CHANNELS_MAX)
#define CPUID_ADDRESS_SIZES 0x80000008u

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
	struct run_folder folder;
	struct machine_setup setup;
	struct launcher_files launcher;
	struct tty tty;
	struct symbols *symbols;
	int report_fd;
	bool ran; /* there is something to report */
	struct output_file outputs[MAX_OUTPUT_FILES];
	size_t n_outputs;
	char *socket_path; /* to be removed: the console's */
};

static bool load_shim(struct run *run, GError **error)
{
	char *shim_path = shim_find(run->config.shim_path, error);

	if (!shim_path)
		return false;
	g_free(run->config.shim_path);
	run->config.shim_path = shim_path;
	return mapped_file_open(&run->shim, shim_path, "shim", error);
}

static bool load_images(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;

	return (config->type == GUEST_PVH || load_shim(run, error)) &&
	       (!config->symbols_path || (run->symbols = symbols_open(config->symbols_path, error))) &&
	       (!config->initrd_path || mapped_file_open(&run->initrd, config->initrd_path, "initrd", error)) &&
	       kernel_load(config->kernel_path, TRUE, &run->kernel, error);
}

static struct boot_image image_of(const char *path, const struct mapped_file *file)
{
	return (struct boot_image){ path, file->bytes, file->len_bytes, file->bytes != NULL, file->fd };
}

static struct boot_image kernel_image_of(const struct run *run)
{
	const struct kernel_bytes *kernel = &run->kernel;

	return (struct boot_image){ run->config.kernel_path, kernel->bytes, kernel->len_bytes, kernel->fd >= 0, kernel->fd };
}

/* What the two types of guest have in common. */
static struct boot_inputs common_inputs(const struct run *run)
{
	const struct layout *layout = &run->setup.layout;

	return (struct boot_inputs){
		.initrd = image_of(run->config.initrd_path, &run->initrd),
		.memory_map = layout->map,
		.n_memory_map = layout->n_map,
		.low_ram_top_gpa = layout->low_ram_top_gpa,
		.rsdp_gpa = LAYOUT_ACPI_GPA,
	};
}

static bool plan_pv(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;
	struct boot_inputs inputs = common_inputs(run);

	/* Nobody is there to answer BIOS calls; the guest has the console ring to itself, the shim logs by hypercall. */
	run->shim_command_line = g_strdup_printf("pv-shim%s console=xen%s%s",
						 config->entry == BOOT_ENTRY_MULTIBOOT ? " no-real-mode" : "",
						 config->shim_append ? " " : "", config->shim_append ? config->shim_append : "");
	inputs.entry = config->entry;
	inputs.shim = image_of(config->shim_path, &run->shim);
	inputs.kernel = kernel_image_of(run);
	inputs.shim_command_line = run->shim_command_line;
	inputs.guest_command_line = run->guest_command_line;
	if (!pv_check_shim(&inputs.shim, error) || !pv_check_kernel(&inputs, run->setup.layout.ram_bytes, error))
		return false;
	run->plan = boot_plan_new(&inputs, error);
	return run->plan != NULL;
}

/* The kernel takes the shim's place: it is what starts, and the initrd is its only module. */
static bool plan_pvh(struct run *run, GError **error)
{
	struct boot_inputs inputs = common_inputs(run);

	inputs.alone = true;
	inputs.shim = kernel_image_of(run);
	inputs.entry = boot_entry_of(&inputs.shim);
	inputs.shim_command_line = run->guest_command_line;
	run->plan = boot_plan_new(&inputs, error);
	return run->plan != NULL;
}

/* A bzImage that could not be unpacked here is a Linux; another kernel says so itself. */
static bool is_linux(const struct kernel_bytes *kernel)
{
	struct kernel_elf elf;

	return !elf_has_magic(kernel->bytes, kernel->len_bytes) ||
	       (kernel_elf_parse(kernel->bytes, kernel->len_bytes, "kernel", &elf, NULL) && strcmp(elf.guest_os, "linux") == 0);
}

/* One past the last address that the host's CPUs reach. */
static uint64_t end_of_addresses(void)
{
	unsigned int eax = 0, ebx, ecx, edx;

	if (!__get_cpuid(CPUID_ADDRESS_SIZES, &eax, &ebx, &ecx, &edx) || (eax & 0xff) < 36)
		return UINT64_C(1) << 36;
	return UINT64_C(1) << MIN(eax & 0xff, 52);
}

/* For the windows that are in BARs. */
static bool add_bridge(struct run *run, GError **error)
{
	struct lending_window *in_bars[SPACE_MAX_WINDOWS];
	uint64_t bar_bytes[SPACE_MAX_WINDOWS], bar_gpas[SPACE_MAX_WINDOWS];
	size_t n = 0;

	for (guint i = 0; i < run->config.lend_windows->len; i++) {
		struct lending_window *window = &g_array_index(run->config.lend_windows, struct lending_window, i);

		if (window->place == LENDING_AT_ADDRESS || window->place == LENDING_AT_RAM)
			continue;
		g_assert(n < SPACE_MAX_WINDOWS);
		bar_bytes[n] = window->len_bytes;
		in_bars[n++] = window;
	}
	if ((n > 0 || run->setup.n_vhosts > 0) &&
	    !layout_add_bridge(&run->setup.layout, bar_bytes, bar_gpas, n, end_of_addresses(), error))
		return false;
	for (size_t i = 0; i < n; i++)
		in_bars[i]->gpa = bar_gpas[i];
	return true;
}

/* Each is asked what it is: memory that it shows is a window of the domain's. */
static bool open_vhosts(struct run *run, GError **error)
{
	const GPtrArray *options = run->config.vhosts;
	GArray *windows = run->config.lend_windows;

	run->setup.vhosts = g_new0(struct vhost_backend, options->len);
	for (guint i = 0; i < options->len; i++) {
		struct vhost_backend *backend = &run->setup.vhosts[i];

		if (!vhost_backend_open(backend, options->pdata[i], error))
			return false;
		run->setup.n_vhosts++;
		if (!backend->has_shmem)
			continue;
		if (windows->len == SPACE_MAX_WINDOWS) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--vhost-user=%s: its shared memory is one lend window too many: %u are",
				    backend->option->path, SPACE_MAX_WINDOWS);
			return false;
		}
		const struct lending_window window = { .len_bytes = backend->shmem_bytes, .on_fail = LEND_ACTION_ZERO, .place = LENDING_AT_VHOST };
		backend->window = windows->len;
		g_array_append_val(windows, window);
	}
	return true;
}

static void close_vhosts(struct run *run)
{
	for (size_t i = 0; i < run->setup.n_vhosts; i++)
		vhost_backend_close(&run->setup.vhosts[i]);
	g_free(run->setup.vhosts);
}

/* There is no other window in such a domain: the options say so. */
static void make_ram_a_window(struct run *run)
{
	struct layout *layout = &run->setup.layout;
	const struct lending_window ram = { .len_bytes = layout->low_ram_top_gpa, .on_fail = LEND_ACTION_STOP, .place = LENDING_AT_RAM };

	layout->ram_is_lent = true;
	g_array_append_val(run->config.lend_windows, ram);
}

static bool add_lend_windows(struct run *run, GError **error)
{
	GArray *windows = run->config.lend_windows;

	if (run->config.memory_lent_path)
		make_ram_a_window(run);

	for (guint i = 0; i < windows->len; i++) {
		struct lending_window *window = &g_array_index(windows, struct lending_window, i);

		if (window->place == LENDING_AT_ADDRESS &&
		    !layout_add_window(&run->setup.layout, &window->gpa, window->len_bytes, end_of_addresses(), error))
			return false;
	}
	if (!add_bridge(run, error))
		return false;
	run->setup.lending.windows = (const struct lending_window *)(const void *)windows->data;
	run->setup.lending.n_windows = windows->len;
	return true;
}

static bool make_plan(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;

	run->guest_command_line = config->disks->len > 0 && !config->no_auto_append && is_linux(&run->kernel) ?
					  auto_append_disk_words(config->guest_command_line, config->max_vcpus) :
					  g_strdup(config->guest_command_line);
	return layout_init(&run->setup.layout, config->memory_bytes, config->low_memory_bytes, error) &&
	       add_lend_windows(run, error) &&
	       (config->type == GUEST_PVH ? plan_pvh(run, error) : plan_pv(run, error));
}

/* Standard output may be closed, or full. */
static int print_all(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return DOM1_STATUS_OK;
	fprintf(stderr, "dom1: cannot write to standard output: %s\n", g_strerror(errno));
	return DOM1_STATUS_USAGE;
}

static void print_faults(const struct inject_plan *plan)
{
	for (size_t i = 0; plan && i < plan->n_rules; i++)
		printf("inject: %s\n", plan->rules[i].text);
}

static void print_devices(const struct vm_config *config)
{
	for (guint i = 0; i < config->disks->len; i++) {
		const struct disk_config *disk = config->disks->pdata[i];

		printf("disk %s: %s%s\n", disk->vdev, disk->target,
		       disk->label ? " (a copy, read-only)" : disk->readonly ? " (read-only)" : disk->snapshot ? " (snapshot: what is written is thrown away)" : "");
	}
	for (guint i = 0; i < config->lend_windows->len; i++) {
		const struct lending_window *window = &g_array_index(config->lend_windows, struct lending_window, i);

		printf("lend window %u: %" PRIu64 " MiB at 0x%" PRIx64, i, window->len_bytes >> 20, window->gpa);
		if (window->place == LENDING_AT_RAM)
			printf(", all RAM, of %s", config->memory_lent_path);
		else if (window->place == LENDING_AT_VHOST)
			printf(" at first, of a vhost-user device");
		else if (window->place != LENDING_AT_ADDRESS)
			printf(" at first, BAR %u of PCI device %02x", window->place == LENDING_AT_PMEM ? 2 : 0,
			       MACHINE_PCI_DEVICE(i));
		putchar('\n');
	}
	for (guint i = 0; i < config->vhosts->len; i++) {
		const struct vhost_option *vhost = config->vhosts->pdata[i];

		printf("vhost-user %u: %s, %s, %u queues, PCI device %02x\n", i, vhost->type, vhost->path, vhost->n_queues,
		       MACHINE_VHOST_PCI_DEVICE(i));
	}
	for (guint i = 0; i < config->vifs->len; i++) {
		const struct vif_config *vif = config->vifs->pdata[i];
		g_autofree char *where = net_where(vif);

		printf("network %u: %s, %02x:%02x:%02x:%02x:%02x:%02x\n", i, where, vif->mac[0], vif->mac[1], vif->mac[2], vif->mac[3],
		       vif->mac[4], vif->mac[5]);
	}
	for (guint i = 0; i < config->channels->len; i++) {
		g_autofree char *where = channel_where(config->channels->pdata[i]);

		printf("hvc%u: %s\n", i + 1, where);
	}
}

static int dry_run(const struct run *run)
{
	static const char *const types[] = { [MEMORY_MAP_RAM] = "RAM", [MEMORY_MAP_RESERVED] = "reserved",
					     [MEMORY_MAP_ACPI] = "ACPI" };
	const struct vm_config *config = &run->config;
	const struct layout *layout = &run->setup.layout;

	printf("name: %s\n", config->name);
	printf("kernel: %s (%s, %zu KiB)\n", config->kernel_path,
	       run->kernel.cached ? "unpacked, from the cache" : run->kernel.unpacked ? "unpacked" : "as it is",
	       run->kernel.len_bytes / 1024);
	printf("initrd: %s\n", config->initrd_path ? config->initrd_path : "none");
	if (config->type == GUEST_PV) {
		printf("shim: %s (entry %s)\n", config->shim_path, config->entry == BOOT_ENTRY_PVH ? "pvh" : "multiboot");
		printf("shim's command line: %s\n", run->shim_command_line);
	}
	printf("guest's command line: %s\n", run->guest_command_line);
	print_devices(config);
	print_faults(config->inject);
	printf("vcpus: %u", config->n_vcpus);
	if (config->max_vcpus > config->n_vcpus)
		printf(", up to %u by dom1 vcpu-set", config->max_vcpus);
	printf("\n");
	if (config->max_event_channels)
		printf("event channels: at most %u\n", config->max_event_channels);
	printf("grant frames: at most %u\n", config->max_grant_frames);
	printf("memory: %" PRIu64 " MiB", layout->ram_bytes >> 20);
	/* Measured: the shim keeps 15 MiB and 1 % of the memory, a little more where there is a hole in it. */
	if (config->type == GUEST_PV)
		printf(", about %" PRIu64 " MiB of it for the guest",
		       (layout->ram_bytes - layout->ram_bytes / 100 - (UINT64_C(15) << 20)) >> 20);
	if (config->memory_backing != MEMORY_ANONYMOUS)
		printf("; a %s", MEMORY_BACKING_NAMES[config->memory_backing]);
	printf("\n");
	for (size_t i = 0; i < layout->n_map; i++)
		printf("  %012" PRIx64 "-%012" PRIx64 " %s\n", layout->map[i].gpa, layout->map[i].gpa + layout->map[i].len_bytes,
		       types[layout->map[i].type]);
	printf("loaded at:\n");
	for (size_t i = 0; i < run->plan->n_segments; i++)
		printf("  %012" PRIx64 "-%012" PRIx64 " %s\n", run->plan->segments[i].gpa,
		       run->plan->segments[i].gpa + run->plan->segments[i].mem_bytes,
		       /* The plan knows only of what it starts; for PVH that is the kernel. */
		       config->type == GUEST_PVH && strcmp(run->plan->segments[i].what, "shim") == 0 ?
			       "kernel" : run->plan->segments[i].what);
	return print_all("");
}

/*
 * Files are emptied when all are open: should something be refused after this one, it is as it was, or gone if it was not
 * there.
 */
static bool open_output_file(struct run *run, int *fd, const char *option, const char *path, GError **error)
{
	*fd = -1;
	if (!path)
		return true;
	*fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	bool created = *fd >= 0;
	if (!created && errno == EEXIST)
		*fd = open(path, O_WRONLY | O_CLOEXEC);
	if (*fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s=%s: cannot write: %s", option, path, g_strerror(errno));
		return false;
	}
	g_assert(run->n_outputs < G_N_ELEMENTS(run->outputs));
	run->outputs[run->n_outputs++] = (struct output_file){ *fd, created ? path : NULL };
	return true;
}

static void settle_output_files(struct run *run, bool refused)
{
	struct stat status;

	for (size_t i = 0; i < run->n_outputs; i++) {
		const struct output_file *output = &run->outputs[i];

		if (refused && output->created_path)
			(void)unlink(output->created_path);
		else if (!refused && fstat(output->fd, &status) == 0 && S_ISREG(status.st_mode) && ftruncate(output->fd, 0) != 0)
			fprintf(stderr, "dom1: an old log could not be emptied: %s\n", g_strerror(errno));
	}
}

static bool console_error(GError **error, const struct run *run, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--console=%s: cannot open: %s",
		    run->config.console_path ? run->config.console_path : what, g_strerror(errno));
	return false;
}

static bool open_stdio_console(struct run *run, GError **error)
{
	struct console_files *console = &run->setup.console;
	int pipe_fds[2];
	struct stat status;

	/* What is typed goes through the launcher, which knows the escape even when the machine is stuck. */
	if (pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) != 0)
		return console_error(error, run, "stdio");
	console->in_fd = pipe_fds[0];
	run->launcher.input_fd = pipe_fds[1];
	run->launcher.stdin_fd = fcntl(STDIN_FILENO, F_GETFD) < 0 ? -1 : STDIN_FILENO;

	console->out_fd = tty_reopen_nonblocking(STDOUT_FILENO, O_WRONLY);
	/* Closed: nobody reads. A socket cannot be opened again: it is shared, and made non-blocking for all. */
	if (console->out_fd < 0 && fstat(STDOUT_FILENO, &status) == 0) {
		console->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		if (console->out_fd >= 0)
			fcntl(console->out_fd, F_SETFL, fcntl(console->out_fd, F_GETFL) | O_NONBLOCK);
	}
	/* A file that the shell opened is written where the shell stands in it. */
	if (console->out_fd >= 0 && fstat(console->out_fd, &status) == 0 && S_ISREG(status.st_mode)) {
		close(console->out_fd);
		console->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	}
	run->setup.console_patient = true;
	return true;
}

/* of: whose other side that is. */
static int open_pty(struct run *run, struct console_files *files, const char *of)
{
	g_autofree char *name = NULL;
	int rc = console_files_open_pty(files, &name);

	if (rc == 0)
		fprintf(stderr, "dom1: %s: %s on %s\n", run->config.name, of, name);
	return rc;
}

static bool open_socket_console(struct run *run, GError **error)
{
	errno = console_files_listen(&run->setup.console, run->config.console_path);
	if (errno != 0)
		return console_error(error, run, "socket");
	run->socket_path = g_strdup(run->config.console_path);
	return true;
}

static bool open_console(struct run *run, GError **error)
{
	switch (run->config.console) {
	case CONSOLE_STDIO:
		return open_stdio_console(run, error);
	case CONSOLE_FILE:
		return open_output_file(run, &run->setup.console.out_fd, "--console", run->config.console_path, error);
	case CONSOLE_PTY:
		errno = open_pty(run, &run->setup.console, "console");
		return errno == 0 || console_error(error, run, "pty");
	case CONSOLE_SOCKET:
		return open_socket_console(run, error);
	default:
		return true;
	}
}

/* Half of what the kernel lets a process have is for windows: the rest is the guest's, and a reserve. */
static size_t lending_mappings(void)
{
	enum { KERNELS_DEFAULT = 65530 };
	g_autofree char *text = NULL;
	guint64 limit = KERNELS_DEFAULT;

	if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL))
		limit = MIN(g_ascii_strtoull(text, NULL, 10), G_MAXINT);
	return (size_t)limit / 2;
}

/* FALSE and errno. A path that is NULL is none to connect to. */
static bool connect_to(const char *path, int flags, int *fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!path)
		return true;
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return false;
	}
	strcpy(address.sun_path, path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return *fd >= 0 && connect(*fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* The connections are the authority, so it is the person's who names them. */
static bool open_lending(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;

	if (!connect_to(config->lend_to_path, 0, &run->setup.lend_to_fd)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--lend-to: %s: %s: is there a domain with --lend-window?",
			    config->lend_to_path, g_strerror(errno));
		return false;
	}
	if (!connect_to(config->memory_lent_path, SOCK_NONBLOCK, &run->setup.memory_lent_fd)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--memory-lent: %s: %s: is there a lender that listens?",
			    config->memory_lent_path, g_strerror(errno));
		return false;
	}
	if (run->config.lend_windows->len == 0)
		return true;
	run->setup.lending.max_mappings = lending_mappings();
	run->setup.lending.listen_fd = folder_listen(run->folder.fd, "lend.sock", error);
	return run->setup.lending.listen_fd >= 0;
}

/* What came before it stays open: release() closes it. */
static bool open_channel(struct run *run, const struct channel_config *config, unsigned int number, GError **error)
{
	static const char *const kinds[] = { [CHANNEL_PTY] = "pty", [CHANNEL_SOCKET] = "socket", [CHANNEL_FILE] = "file" };
	struct channel *channel = &run->setup.channels[run->setup.n_channels];
	char console[8];

	*channel = (struct channel){ .name = config->name, .kind = kinds[config->connection], .files = CONSOLE_FILES_NONE };
	if (config->connection == CHANNEL_FILE) {
		if (!open_output_file(run, &channel->files.out_fd, "--channel", config->path, error))
			return false;
		run->setup.n_channels++;
		return true;
	}
	g_snprintf(console, sizeof(console), "hvc%u", number);
	errno = config->connection == CHANNEL_PTY ? open_pty(run, &channel->files, console) :
						    console_files_listen(&channel->files, config->path);
	if (errno != 0) {
		g_autofree char *where = channel_where(config);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "channel: %s: cannot open: %s", where, g_strerror(errno));
		return false;
	}
	channel->socket_path = config->path;
	run->setup.n_channels++;
	return true;
}

static bool open_channels(struct run *run, GError **error)
{
	const GPtrArray *channels = run->config.channels;

	run->setup.channels = g_new0(struct channel, channels->len);
	for (guint i = 0; i < channels->len; i++)
		if (!open_channel(run, channels->pdata[i], i + 1, error))
			return false;
	return true;
}

static bool open_files(struct run *run, GError **error)
{
	const struct vm_config *config = &run->config;
	int sockets[2];

	run->setup.console.hold_input = config->restore_path ? run->saved.rings.console_holds_input : config->type == GUEST_PV;
	if (!open_output_file(run, &run->report_fd, "--report", config->report_path, error) ||
	    !open_output_file(run, &run->setup.console.log_fd, "--console-log", config->console_log_path, error) ||
	    !open_output_file(run, &run->setup.shim_log_fd, "--shim-log", config->shim_log_path, error) ||
	    (config->trace_log_path && !open_output_file(run, &run->setup.trace_fd, "--trace-log", config->trace_log_path, error)) ||
	    !open_output_file(run, &run->setup.core_fd, "--core", config->core_path, error) || !open_console(run, error) ||
	    !open_channels(run, error))
		return false;
	if ((run->setup.control_fd = folder_listen(run->folder.fd, "control.sock", error)) < 0 ||
	    (run->setup.xenstore_fd = folder_listen(run->folder.fd, "xenstore.sock", error)) < 0 ||
	    (run->setup.console.attach_fd = folder_listen(run->folder.fd, "console.sock", error)) < 0)
		return false;
	if (!open_lending(run, error))
		return false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "socketpair: %s", g_strerror(errno));
		return false;
	}
	run->launcher.machine_fd = sockets[0];
	run->launcher.machine_end_fd = run->setup.launcher_fd = sockets[1];
	return true;
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

/* The file says what the command line says of a domain that boots. */
static bool load_saved(struct run *run, GError **error)
{
	struct vm_config *config = &run->config;

	if (!saved_image_open(&run->saved, config->restore_path, error))
		return false;
	const struct saved_domain *domain = &run->saved.domain;
	if (!config->name)
		config->name = g_strdup(domain->name);
	config->uuid = g_strdup(domain->uuid);
	config->kernel_path = g_strdup(domain->kernel);
	config->type = domain->has_shim ? GUEST_PV : GUEST_PVH;
	config->memory_bytes = domain->memory_bytes;
	config->low_memory_bytes = domain->low_memory_bytes;
	config->n_vcpus = domain->n_vcpus;
	config->max_vcpus = domain->max_vcpus;
	config->max_event_channels = domain->max_event_channels;
	config->max_grant_frames = domain->max_grant_frames;
	config->xen_version = domain->xen_version;
	if (config->symbols_path && !(run->symbols = symbols_open(config->symbols_path, error)))
		return false;
	run->plan = g_new0(struct boot_plan, 1);
	run->setup.restored = &run->saved;
	return layout_init(&run->setup.layout, config->memory_bytes, config->low_memory_bytes, error);
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
	if (!(run->config.restore_path ? load_saved(run, error) :
					 load_images(run, error) && open_vhosts(run, error) && make_plan(run, error)))
		return false;
	if (run->config.dry_run)
		return true;
	run->setup.kvm_fd = kvm_open(NULL, error);
	if (run->setup.kvm_fd < 0 || (run->setup.restored && !machine_check_restore(run->setup.restored, run->setup.kvm_fd, error)) ||
	    !memory_backing_check(run->config.memory_backing, run->setup.kvm_fd, error) ||
	    !run_folder_take(&run->folder, run->config.name, error) ||
	    !block_files_open(&run->setup.disks, &run->setup.n_disks, run->config.disks, error) ||
	    !nics_open(&run->setup.nics, &run->setup.n_nics, run->config.vifs, run->config.max_vcpus, error))
		return false;
	bool opened = open_files(run, error);
	settle_output_files(run, !opened);
	return opened;
}

static void init(struct run *run, struct record *record)
{
	*run = (struct run){
		.saved.file.fd = -1,
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
	if (run->socket_path)
		unlink(run->socket_path);
	g_free(run->socket_path);
	for (size_t i = 0; i < run->setup.n_channels; i++)
		if (run->setup.channels[i].socket_path)
			unlink(run->setup.channels[i].socket_path);
	g_free(run->setup.channels);
	run_folder_release(&run->folder);
	block_files_close(run->setup.disks, run->setup.n_disks);
	nics_close(run->setup.nics, run->setup.n_nics);
	close_vhosts(run);
	saved_image_close(&run->saved);
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

/* A core that was not written leaves no file where there was none. */
static void settle_core(const struct run *run)
{
	struct stat status;

	if (run->setup.core_fd < 0 || fstat(run->setup.core_fd, &status) != 0 || !S_ISREG(status.st_mode))
		return;
	if (status.st_size > 0) {
		fprintf(stderr, "dom1: %s: a core is in %s\n", run->config.name, run->config.core_path);
		return;
	}
	for (size_t i = 0; i < run->n_outputs; i++)
		if (run->outputs[i].fd == run->setup.core_fd && run->outputs[i].created_path)
			(void)unlink(run->outputs[i].created_path);
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
		else if (run_domain(&run, &end, &error)) {
			tell_end(&run, &end);
			settle_core(&run);
		}
	}
	if (error) {
		print_error(error);
		end.status = error->code;
	} else if (!write_report(&run, &end, &error)) {
		print_error(error);
		/* How the guest ended says more, unless that is nothing. */
		end.status = end.status == DOM1_STATUS_OK ? error->code : end.status;
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
