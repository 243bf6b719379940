// SPDX-License-Identifier: MIT
/*
 * start_vm() is the boot sequence, stop_vm() undoes it in reverse. A restart is one more turn of the loop in
 * machine_main(), with fresh memory and a fresh VM.
 */
#include "vmm/machine.h"
#include "vmm/machine_state.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <glib-unix.h>

#include "lend/peer.h"
#include "saved/image.h"
#include "vmm/acpi.h"
#include "vmm/core.h"
#include "vmm/error.h"
#include "vmm/event_source.h"
#include "vmm/guest_memory.h"
#include "vmm/halt_watch.h"
#include "vmm/kvm.h"
#include "vmm/memory_loader.h"
#include "vmm/memory_sample.h"
#include "vmm/read_whole.h"
#include "vmm/run_folder.h"
#include "vmm/vm.h"
#include "xen/abi.h"
#include "xen/domain.h"
#include <xen/sched.h>

/* syscalls(main, vcpu, mapper, loader, memory): write */
static void stop(struct vm *vm)
{
	const uint64_t one = 1;

	atomic_store(&vm->stopping, true);
	ssize_t written = write(vm->stop_fd, &one, sizeof(one));
	(void)written;
}

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	char detail[512] = "";

	if (format) {
		va_list arguments;

		va_start(arguments, format);
		g_vsnprintf(detail, sizeof(detail), format, arguments);
		va_end(arguments);
	}
	record_end(vm->record, outcome, status, "%s", detail);
	stop(vm);
}

void vm_soft_reset(struct vm *vm)
{
	atomic_store(&vm->soft_reset, true);
	stop(vm);
}

static gboolean on_stop(gint fd, GIOCondition condition, gpointer opaque)
{
	struct machine *machine = opaque;

	(void)fd, (void)condition;
	machine->stop_source = 0;
	g_main_loop_quit(machine->loop);
	return G_SOURCE_REMOVE;
}

void machine_watch_stop(struct machine *machine)
{
	machine->stop_source = g_unix_fd_add(machine->vm.stop_fd, G_IO_IN, on_stop, machine);
}

void machine_record_stop(const struct machine_setup *setup, enum outcome outcome)
{
	if (outcome == OUTCOME_TIMEOUT)
		record_end(setup->record, outcome, 0, "the domain was still running after %u s (--timeout)",
			   setup->config->timeout_s);
	else
		record_end(setup->record, outcome, 0, NULL);
}

/* The launcher wants the domain to end, or is dead. */
/* syscalls(main): read */
static gboolean on_launcher(gint fd, GIOCondition condition, gpointer opaque)
{
	struct machine *machine = opaque;
	uint8_t outcome;
	ssize_t got = read(fd, &outcome, sizeof(outcome));

	(void)condition;
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return G_SOURCE_CONTINUE;
	if (got > 0 && outcome == MACHINE_LAST_WORDS) {
		machine_hear_last_words(machine);
		return G_SOURCE_CONTINUE;
	}
	machine->launcher_gone = got <= 0;
	machine->told_to_stop = got > 0 ? outcome : OUTCOME_DESTROYED;
	machine_record_stop(machine->setup, machine->told_to_stop);
	g_main_loop_quit(machine->loop);
	return got <= 0 ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static gboolean on_phase(gint fd, GIOCondition condition, gpointer opaque)
{
	struct machine *machine = opaque;
	uint64_t count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)condition, (void)got;
	if (machine->vm.memory)
		memory_sample(machine->vm.record, machine->smaps);
	return G_SOURCE_CONTINUE;
}

/* Memory is fresh: what a segment wants zeroed is zero. */
static bool load_segment(const struct guest_memory *memory, const struct boot_segment *segment, GError **error)
{
	void *to = segment->len_bytes ? guest_memory_span(memory, segment->gpa, segment->len_bytes) : NULL;

	g_assert(to || segment->len_bytes == 0);
	if (segment->len_bytes == 0)
		return true;
	/* Page faults of a mapping would take as long as the copy. */
	if (segment->has_file && !read_whole(segment->file_fd, to, segment->len_bytes, segment->file_offset_bytes)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot load the %s: %s", segment->what, read_whole_reason());
		return false;
	}
	if (!segment->has_file)
		memcpy(to, segment->bytes, segment->len_bytes);
	return true;
}

struct making {
	struct machine *machine;
	GError **error;
};

/* The mapper's. */
static void make_memory(void *opaque)
{
	struct making *making = opaque;
	struct machine *machine = making->machine;
	const struct machine_setup *setup = machine->setup;
	struct memory_backing backing;

	/* A file of each start's own: a restart finds zeros. */
	if (!memory_backing_open(&backing, setup->config->memory_backing, setup->kvm_fd, guest_memory_file_bytes(&setup->layout),
				 making->error))
		return;
	atomic_store(&machine->vm.record->direct_map_removed, backing.direct_map_removed);
	machine->vm.memory = guest_memory_new_on(&setup->layout, &backing, making->error);
}

/* syscalls(main): mmap(~PROT_EXEC) */
static bool load_memory(struct machine *machine, GError **error)
{
	const struct boot_plan *plan = machine->setup->plan;
	struct making making = { machine, error };
	GError *loader_error = NULL;

	worker_run(machine->workers.mapper, make_memory, &making);
	struct guest_memory *memory = machine->vm.memory;
	if (!memory)
		return false;
	guest_memory_map_by(memory, machine->workers.mapper);
	if (machine->setup->layout.ram_is_lent)
		return true;
	if (machine->setup->restored)
		return machine_restore_memory(machine, error);
	machine->loader = memory_loader_new(&machine->vm, plan, &loader_error);
	if (loader_error) {
		g_propagate_error(error, loader_error);
		return false;
	}
	for (size_t i = 0; i < plan->n_segments; i++)
		if (!plan->segments[i].may_come_late && !load_segment(memory, &plan->segments[i], error))
			return false;
	uint8_t *tables = guest_memory_span(memory, LAYOUT_ACPI_GPA, LAYOUT_ACPI_MAX_BYTES);
	const struct layout *layout = &machine->setup->layout;
	const struct acpi_bridge bridge = { layout->bridge_gpa, layout->bridge_bytes };
	g_assert(tables && acpi_build(tables, LAYOUT_ACPI_MAX_BYTES, LAYOUT_ACPI_GPA, machine->vm.n_vcpus,
				      layout->bridge_bytes > 0 ? &bridge : NULL) > 0);
	return true;
}

/* syscalls(main): ioctl(KVM_GET_VCPU_MMAP_SIZE) */
static bool create_vcpus(struct machine *machine, GError **error)
{
	struct vm *vm = &machine->vm;
	int mmap_bytes = ioctl(machine->setup->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (mmap_bytes < (int)sizeof(struct kvm_run)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM_GET_VCPU_MMAP_SIZE: %s", g_strerror(errno));
		return false;
	}
	vm->vcpu_mmap_bytes = (size_t)mmap_bytes;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (!vcpu_init(&vm->vcpus[i], vm, i, machine->supported_cpuid, error))
			return false;
	if (machine->setup->restored)
		return machine_restore_cpuid(machine, error);
	return vcpu_set_entry(&vm->vcpus[0], machine->setup->plan->eip, machine->setup->plan->eax, machine->setup->plan->ebx,
			      error);
}

bool machine_start_devices(struct machine *machine, GError **error)
{
	if (!machine_start_channels(machine, error))
		return false;
	if (machine->disks->len == 0 && machine->setup->n_nics == 0)
		return true;
	return io_thread_await(machine->io, error) && machine_start_disks(machine, error) && machine_start_nets(machine, error);
}

void machine_stop_devices(struct machine *machine)
{
	machine_stop_nets(machine);
	machine_stop_disks(machine);
	machine_stop_channels(machine);
}

void machine_start_console(struct machine *machine)
{
	struct guest_memory *memory = machine->vm.memory;
	void *page = guest_memory_span(memory, guest_memory_layout(memory)->console_gpa, LAYOUT_PAGE_BYTES);
	const struct xen_domain *xen = machine->vm.xen;
	const struct evtchn_backend *backend = evtchn_kvm_backend(xen->events_kvm, xen->console_port);
	const struct backend_port port = { backend, backend->from_guest_fd, backend->to_guest_fd };
	struct console_files files = machine->setup->console;

	g_assert(page);
	machine_listen_save_at(machine, &files);
	machine->console = console_new(page, &port, &files, machine->vm.record);
	evtchn_kvm_serve(xen->events_kvm, xen->console_port, console_serve, machine->console);
}

static bool start_backends(struct machine *machine, GError **error)
{
	if (!machine_start_store(machine, error))
		return false;
	machine_start_console(machine);
	return machine_start_devices(machine, error);
}

/* Whatever it was that the guest wanted with that: as Xen. */
static void power_off_halted(struct vm *vm)
{
	sched_shut_down(&vm->vcpus[0], SHUTDOWN_poweroff);
}

/* syscalls(main): eventfd2 */
static bool start_vm(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	const struct xen_domain_config xen_config = { .max_grant_frames = setup->config->max_grant_frames,
						      .max_event_channels = setup->config->max_event_channels,
						      .shim_log_fd = setup->shim_log_fd,
						      .uuid = machine->uuid,
						      .inject = setup->config->inject };
	struct vm *vm = &machine->vm;

	*vm = (struct vm){
		.vm_fd = -1,
		.record = setup->record,
		.trace = { setup->config->trace_kinds, setup->trace_fd, setup->record },
		.workers = &machine->workers,
		.n_vcpus = setup->config->max_vcpus,
		.has_shim = setup->config->type == GUEST_PV,
		.xen_version = setup->config->xen_version,
		.calls_lock = PTHREAD_MUTEX_INITIALIZER,
		.calls_changed = PTHREAD_COND_INITIALIZER,
	};
	for (unsigned int i = 0; i < VM_MAX_VCPUS; i++)
		vm->vcpus[i].fd = -1;
	vm->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vm->stop_fd < 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "eventfd: %s", g_strerror(errno));
		return false;
	}
	machine_watch_stop(machine);
	if (!load_memory(machine, error))
		return false;
	vm->vm_fd = kvm_create_vm(setup->kvm_fd, vm->memory, vm->xen_version, error);
	if (vm->vm_fd < 0)
		return false;
	record_phase(vm->record, PHASE_VM_CREATED, NULL);
	if (setup->lend_to_fd >= 0 && atomic_load(&vm->record->generation) == 0 &&
	    !(vm->peer = peer_new(vm, setup->lend_to_fd, error)))
		return false;
	vm->xen = xen_domain_new(vm, &xen_config, error);
	if (!vm->xen || !create_vcpus(machine, error) || (setup->restored && !machine_restore_xen(machine, error)) ||
	    !start_backends(machine, error))
		return false;
	if (setup->save_at_fd >= 0 && !machine_check_save(machine, error))
		return false;
	if (!machine_start_lending(machine, error) || !machine_start_pci(machine, error))
		return false;
	if (setup->layout.ram_is_lent && !machine_load_lent(machine, error))
		return false;
	machine->halt_watch = halt_watch_new(vm, power_off_halted);
	machine_start_faults(machine);
	if (setup->restored)
		return machine_restore_vcpus(machine, error);
	machine_start_vcpus(vm);
	return true;
}

void machine_start_vcpus(struct vm *vm)
{
	bool was_paused = vm->paused;

	/* Paused until all are there: one that runs already could ask for one whose thread cannot be told yet. */
	vm->paused = true;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_start(&vm->vcpus[i], vm->workers->vcpus[i]);
	if (!was_paused)
		vcpu_pause_all(vm, false);
}

void machine_stop_vcpus(struct vm *vm)
{
	atomic_store(&vm->stopping, true);
	peer_cut(vm->peer);
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (vm->vcpus[i].run)
			vcpu_kick(&vm->vcpus[i]);
	/* Who waits for another vCPU's answer learns that there will be none. */
	pthread_mutex_lock(&vm->calls_lock);
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_join(&vm->vcpus[i]);
}

static bool ended_badly(struct record *record)
{
	switch (atomic_load(&record->outcome)) {
	case OUTCOME_CRASH:
	case OUTCOME_SHIM_CRASH:
	case OUTCOME_TIMEOUT:
	case OUTCOME_HOST_ERROR:
		return true;
	default:
		return false;
	}
}

static void write_core(const struct machine *machine)
{
	const struct machine_setup *setup = machine->setup;
	int rc = setup->core_fd >= 0 && machine->vm.memory ?
			 core_write(setup->core_fd, machine->vm.memory, &machine->vm.record->evidence) : 0;

	if (rc != 0)
		machine_say(machine, "--core=%s: cannot write: %s", setup->config->core_path, g_strerror(rc));
}

static void stop_vm(struct machine *machine)
{
	struct vm *vm = &machine->vm;

	g_clear_pointer(&machine->halt_watch, halt_watch_free);
	machine_stop_faults(machine);
	event_source_remove(NULL, &machine->last_words.source);
	event_source_remove(NULL, &machine->save_at_source);
	machine_stop_vcpus(vm);
	if (ended_badly(vm->record)) {
		evidence_collect(&vm->record->evidence, vm, machine->store);
		write_core(machine);
	}
	if (machine->console && !machine->launcher_gone)
		console_drain(machine->console, machine->setup->console_patient && machine->told_to_stop == OUTCOME_NONE,
			      machine->setup->launcher_fd);
	if (vm->memory && machine->smaps)
		memory_sample(vm->record, machine->smaps);
	machine_stop_devices(machine);
	g_clear_pointer(&machine->pause_reason, g_free);
	console_free(machine->console);
	machine->console = NULL;
	g_clear_pointer(&machine->save_at_lines, g_free);
	machine_stop_store(machine);
	for (unsigned int i = 0; i < VM_MAX_VCPUS; i++)
		vcpu_fini(&vm->vcpus[i]);
	g_clear_pointer(&vm->peer, peer_free);
	xen_domain_free(vm->xen);
	machine_stop_pci(machine);
	/* Nobody looks into the guest's memory any more. */
	lending_free(vm->lending);
	vm->lending = NULL;
	if (vm->vm_fd >= 0)
		close(vm->vm_fd);
	memory_loader_free(machine->loader);
	machine->loader = NULL;
	guest_memory_free(vm->memory);
	vm->memory = NULL;
	if (machine->stop_source)
		g_source_remove(machine->stop_source);
	machine->stop_source = 0;
	if (vm->stop_fd >= 0)
		close(vm->stop_fd);
}

bool machine_wants_restart(const struct machine_setup *setup)
{
	const struct vm_config *config = setup->config;

	/* Its lender has lent for one start. */
	if (setup->layout.ram_is_lent)
		return false;
	switch (atomic_load(&setup->record->outcome)) {
	case OUTCOME_POWEROFF:
		return config->on_poweroff == END_RESTART;
	case OUTCOME_REBOOT:
		return config->on_reboot == END_RESTART;
	case OUTCOME_CRASH:
	case OUTCOME_SHIM_CRASH:
		return config->on_crash == END_RESTART;
	default:
		return false;
	}
}

/* The launcher is gone, and with it whoever would have cleaned up. */
/* syscalls(main): ioctl(TCSETS) unlinkat */
static void clean_up_for_launcher(const struct machine_setup *setup)
{
	if (setup->tty_fd >= 0)
		(void)tcsetattr(setup->tty_fd, TCSANOW, &setup->tty_state);
	if (setup->folder_fd >= 0)
		run_folder_remove_at(setup->folder_parent_fd, setup->folder_name, setup->folder_fd);
}

static int compare_fds(const void *a, const void *b)
{
	const int left = *(const int *)a, right = *(const int *)b;

	/* No difference: INT_MAX and -1 are among them. */
	return (left > right) - (left < right);
}

/*
 * Of what the launcher had open, the machine keeps what it was given, and the standard descriptors for what a library
 * may have to say. Above all not the launcher's end of its socket: the launcher's death would go unnoticed.
 */
static void close_other_files(const struct machine_setup *setup)
{
	const int fixed[] = {
		STDERR_FILENO, setup->kvm_fd, setup->launcher_fd, setup->shim_log_fd, setup->trace_fd, setup->core_fd, setup->save_at_fd, setup->console.in_fd,
		setup->console.out_fd, setup->console.listen_fd, setup->console.attach_fd, setup->control_fd, setup->xenstore_fd,
		setup->lending.listen_fd, setup->lend_to_fd, setup->memory_lent_fd, setup->console.log_fd, setup->tty_fd, setup->folder_fd,
		setup->restored ? setup->restored->file.fd : -1,
		setup->folder_parent_fd, setup->folder_lock_fd, INT_MAX,
	};
	g_autofree int *kept = g_new(int, G_N_ELEMENTS(fixed) + setup->plan->n_segments + setup->n_disks * BLOCK_FILE_FDS_MAX +
						  setup->n_nics * NET_LINK_FDS_MAX + 2 * setup->n_channels + 2 * setup->n_vhosts);
	size_t n_kept = G_N_ELEMENTS(fixed);
	int last = STDERR_FILENO;

	memcpy(kept, fixed, sizeof(fixed));
	for (size_t i = 0; i < setup->plan->n_segments; i++)
		kept[n_kept++] = setup->plan->segments[i].has_file ? setup->plan->segments[i].file_fd : -1;
	for (size_t i = 0; i < setup->n_disks; i++)
		n_kept += block_file_fds(&setup->disks[i], kept + n_kept);
	for (size_t i = 0; i < setup->n_nics; i++)
		n_kept += net_link_fds(&setup->nics[i].link, kept + n_kept);
	for (size_t i = 0; i < setup->n_channels; i++) {
		kept[n_kept++] = setup->channels[i].files.out_fd;
		kept[n_kept++] = setup->channels[i].files.listen_fd;
	}
	for (size_t i = 0; i < setup->n_vhosts; i++) {
		kept[n_kept++] = setup->vhosts[i].link.fd;
		kept[n_kept++] = setup->vhosts[i].link.channel_fd;
	}
	qsort(kept, n_kept, sizeof(kept[0]), compare_fds);
	for (size_t i = 0; i < n_kept; i++) {
		if (kept[i] <= last)
			continue;
		if (kept[i] > last + 1)
			(void)close_range((unsigned int)last + 1, (unsigned int)kept[i] - 1, 0);
		last = kept[i];
	}
}

/* What is opened by name, or loaded when it is first used, is so before there are no names any more. */
static bool lock_down(struct machine *machine, GError **error)
{
	const struct machine_setup *setup = machine->setup;
	const struct sandbox_folders folders = { setup->folder_fd, setup->folder_parent_fd };

	machine->smaps = setup->sample_memory ? fopen("/proc/self/smaps", "re") : NULL;
	machine->uuid = setup->config->uuid ? g_strdup(setup->config->uuid) : g_uuid_string_random();
	/*
	 * The first text of an error reads a table of character sets, and in other ones than UTF-8 each loads a converter. g_strerror()
	 * is declared const: an answer that nobody looks at is not asked for.
	 */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	const char *volatile text = g_strerror(EIO);
	(void)text;
	machine->says_to_terminal = isatty(STDERR_FILENO);
	return sandbox_lock_down(&setup->sandbox, &folders, error) && machine_make_threads(machine, error);
}

static bool prepare(struct machine *machine, GError **error)
{
	if (!lock_down(machine, error))
		return false;
	machine->supported_cpuid = kvm_supported_cpuid(machine->setup->kvm_fd, error);
	return machine->supported_cpuid != NULL;
}

/*
 * What the loop and the libraries do besides; newer ones of GLib wait by ppoll(). A library that looks for a file, of which
 * there are none, gets an error.
 * syscalls(main): poll ppoll futex brk restart_syscall rt_sigreturn munmap openat=EACCES
 */
int machine_main(const struct machine_setup *setup)
{
	struct machine machine = { .setup = setup, .vm.stop_fd = -1 };
	g_autoptr(GError) error = NULL;
	guint launcher_source, phase_source = 0;

	prctl(PR_SET_NAME, "dom1-machine");
	close_other_files(setup);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	vcpu_set_up_kick_signal();
	machine.loop = g_main_loop_new(NULL, FALSE);
	bool prepared = prepare(&machine, &error);
	launcher_source = g_unix_fd_add(setup->launcher_fd, G_IO_IN | G_IO_HUP, on_launcher, &machine);
	if (machine.smaps) {
		setup->record->phase_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		phase_source = g_unix_fd_add(setup->record->phase_fd, G_IO_IN, on_phase, &machine);
	}

	machine_take_disks(&machine);
	machine.control = control_server_new(setup->control_fd, &MACHINE_CONTROL_OPS, &machine);
	while (prepared) {
		if (start_vm(&machine, &error)) {
			machine.started_ns = record_now_ns(setup->record);
			machine.running = true;
			do
				g_main_loop_run(machine.loop);
			while (machine_soft_reset(&machine, &error));
			machine.running = false;
		}
		machine_control_tell_end(&machine);
		stop_vm(&machine);
		if (error || !machine_wants_restart(setup))
			break;
		record_restart(setup->record);
		control_server_event(machine.control, "RESTART", NULL);
		/* It would have gone on: that it was told to stop is how it ended. */
		if (machine.told_to_stop != OUTCOME_NONE) {
			machine_record_stop(setup, machine.told_to_stop);
			break;
		}
	}
	if (error)
		record_end(setup->record, OUTCOME_HOST_ERROR, (uint32_t)error->code, "%s", error->message);

	control_server_free(machine.control);
	g_ptr_array_unref(machine.disks);
	if (!machine.launcher_gone)
		g_source_remove(launcher_source);
	else
		clean_up_for_launcher(setup);
	if (phase_source)
		g_source_remove(phase_source);
	g_clear_pointer(&machine.smaps, fclose);
	g_free(machine.supported_cpuid);
	g_free(machine.uuid);
	g_main_loop_unref(machine.loop);
	return 0;
}
