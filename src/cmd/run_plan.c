// SPDX-License-Identifier: MIT
/* dom1 run: what the domain is made of. Its kernel and the plan of its boot, or what was saved; its windows and its places in memory. */
#include "cmd/run.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "config/auto_append.h"
#include "saved/memory.h"
#include "saved/stream.h"
#include "shim/elf.h"
#include "shim/find_shim.h"
#include "shim/kernel_image.h"
#include "shim/pv_check.h"
#include "vmm/error.h"
#include "vmm/kvm.h"

/* In messages, of a saved domain that comes that way. */
#define STREAM_NAME         "standard input"
#define CPUID_ADDRESS_SIZES 0x80000008u

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

/* With what is there but memory. */
static bool look_at_stream(void *opaque, GError **error)
{
	struct run *run = opaque;
	int fd = fcntl(run->stream_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: %s", STREAM_NAME, g_strerror(errno));
		return false;
	}
	if (!saved_image_take(&run->saved, fd, STREAM_NAME, error))
		return false;
	int kvm_fd = kvm_open(NULL, error);
	if (kvm_fd < 0)
		return false;
	bool fits = machine_check_restore(&run->saved, kvm_fd, error);
	close(kvm_fd);
	return fits;
}

/* As long as this domain lives, it is a file in memory; its sums are looked at, since it has come a long way. */
static bool load_stream(struct run *run, GError **error)
{
	run->stream_fd = memfd_create("dom1-saved", MFD_CLOEXEC);
	if (run->stream_fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "memfd_create: %s", g_strerror(errno));
		return false;
	}
	return saved_stream_read(STDIN_FILENO, run->stream_fd, STREAM_NAME, look_at_stream, run, error) &&
	       saved_memory_check(&run->saved.file, run->saved.sums, error);
}

/* The file says what the command line says of a domain that boots. */
static bool load_saved(struct run *run, GError **error)
{
	struct vm_config *config = &run->config;

	if (!(strcmp(config->restore_path, "-") == 0 ? load_stream(run, error) :
						       saved_image_open(&run->saved, config->restore_path, error)))
		return false;
	const struct saved_domain *domain = &run->saved.domain;
	if (!config->name)
		config->name = config->as_clone ? vm_config_default_name(domain->name) : g_strdup(domain->name);
	config->uuid = config->as_clone ? NULL : g_strdup(domain->uuid);
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
	return run_name_saved_disks(run, error) && layout_init(&run->setup.layout, config->memory_bytes, config->low_memory_bytes, error);
}

bool run_make_plan(struct run *run, GError **error)
{
	if (getrandom(run->setup.generation_id, sizeof(run->setup.generation_id), 0) != sizeof(run->setup.generation_id)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "no random numbers: %s", g_strerror(errno));
		return false;
	}
	if (run->config.restore_path)
		return load_saved(run, error);
	return load_images(run, error) && open_vhosts(run, error) && make_plan(run, error);
}
