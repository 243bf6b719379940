// SPDX-License-Identifier: MIT
/*
 * Saving: the vCPUs rest between two entries of the guest, where no hypercall is under way; each reads its own state in its own
 * thread, and the main thread, which nobody else waits for meanwhile, reads and writes the rest.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include "saved/image.h"
#include "saved/memory.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/machine_state.h"
#include "vmm/vcpu_saved.h"
#include "vmm/write_whole.h"
#include "xen/domain.h"
#include "xen/domain_saved.h"
#include "xen/xenstore/saved.h"
#include "xen/xenstore_ring.h"

/* A vCPU may be writing to a log on a slow disk. */
#define PAUSE_MS 10000u

/* What keeps a domain from being saved; NULL: nothing. */
static const char *obstacle(const struct machine *machine)
{
	const struct machine_setup *setup = machine->setup;

	if (setup->lending.n_windows > 0)
		return "it has lend windows, and what they show is others'";
	if (setup->lend_to_fd >= 0)
		return "it lends memory to another domain";
	if (setup->n_vhosts > 0)
		return "it has vhost-user devices";
	if (setup->n_nics > 0)
		return "it has network interfaces, and these are not saved yet";
	if (setup->n_channels > 0)
		return "it has channels, and these are not saved yet";
	if (setup->config->inject)
		return "it has faults on purpose (--inject)";
	return NULL;
}

bool machine_check_save(const struct machine *machine, GError **error)
{
	const char *why = obstacle(machine);

	return why ? refuse_usage(error, "cannot save it: %s", why) : machine_check_disks(machine, error);
}

/* syscalls(main): fstat */
static bool check(const struct machine *machine, int fd, GError **error)
{
	struct stat status;

	if (!machine->running)
		return refuse_usage(error, "the domain is not running");
	if (!machine_check_save(machine, error))
		return false;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != 0)
		return refuse_usage(error, "save: the descriptor must be that of an empty regular file, open for writing");
	return true;
}

struct vcpu_errand {
	const struct vcpu_msr_list *msrs;
	struct saved_vcpu *saved;
	const char *failed; /* static */
	int error;
};

static int64_t save_vcpu(struct vcpu *vcpu, void *opaque)
{
	struct vcpu_errand *errand = opaque;

	errand->failed = vcpu_settle(vcpu) ? vcpu_save(vcpu, errand->msrs, errand->saved) : "KVM_RUN";
	errand->error = errno;
	return 0;
}

static bool put_vcpus(struct machine *machine, GByteArray *sections, GError **error)
{
	struct vm *vm = &machine->vm;
	g_autofree struct vcpu_msr_list *msrs = g_new0(struct vcpu_msr_list, 1);
	g_autofree struct saved_vcpu *saved = g_new0(struct saved_vcpu, 1);

	if (!vcpu_msr_list_read(msrs, machine->setup->kvm_fd)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM_GET_MSR_INDEX_LIST: %s", g_strerror(errno));
		return false;
	}
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		struct vcpu_errand errand = { .msrs = msrs, .saved = saved };

		memset(saved, 0, sizeof(*saved));
		if (vcpu_call(&vm->vcpus[i], NULL, save_vcpu, &errand, -1) != 0)
			return refuse_usage(error, "the domain ends");
		if (errand.failed) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot save vCPU %u: %s: %s", i, errand.failed, g_strerror(errand.error));
			return false;
		}
		size_t begin = saved_section_begin(sections, SAVED_VCPU);
		saved_vcpu_write(sections, saved);
		saved_section_end(sections, begin);
	}
	return true;
}

static void put_domain(const struct machine *machine, bool was_paused, GByteArray *sections)
{
	const struct vm_config *config = machine->setup->config;
	const struct saved_domain domain = {
		.name = config->name,
		.uuid = machine->uuid,
		.kernel = config->kernel_path,
		.has_shim = machine->vm.has_shim,
		.is_paused = was_paused,
		.saved_s = (uint64_t)(g_get_real_time() / G_USEC_PER_SEC),
		.memory_bytes = config->memory_bytes,
		.low_memory_bytes = config->low_memory_bytes,
		.n_vcpus = config->n_vcpus,
		.max_vcpus = config->max_vcpus,
		.max_event_channels = config->max_event_channels,
		.max_grant_frames = config->max_grant_frames,
		.xen_version = config->xen_version,
		.layout = saved_layout_of(guest_memory_layout(machine->vm.memory)),
	};
	size_t begin = saved_section_begin(sections, SAVED_DOMAIN);

	saved_domain_write(sections, &domain);
	saved_section_end(sections, begin);
}

/* syscalls(main): ioctl(KVM_GET_CLOCK) */
static bool put_clock(const struct vm *vm, GByteArray *sections, GError **error)
{
	struct kvm_clock_data data = { 0 };

	if (ioctl(vm->vm_fd, KVM_GET_CLOCK, &data) != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM_GET_CLOCK: %s", g_strerror(errno));
		return false;
	}
	const struct saved_clock clock = {
		.clock_ns = data.clock,
		/* Where KVM does not know the TSC of that moment, it is a little ago. */
		.host_tsc = data.flags & KVM_CLOCK_HOST_TSC ? data.host_tsc : __rdtsc(),
		.tsc_khz = vm->tsc_khz,
	};
	size_t begin = saved_section_begin(sections, SAVED_CLOCK);
	saved_clock_write(sections, &clock);
	saved_section_end(sections, begin);
	return true;
}

static bool put_hypervisor(struct machine *machine, GByteArray *sections, GError **error)
{
	struct xen_domain *xen = machine->vm.xen;
	g_autofree struct saved_hypervisor *saved = g_new0(struct saved_hypervisor, 1);

	if (!xen_domain_save(xen, saved, error))
		return false;
	size_t begin = saved_section_begin(sections, SAVED_HYPERVISOR);
	saved_hypervisor_write(sections, saved, pages_number(xen->pages.n_grant_frames));
	saved_section_end(sections, begin);
	return true;
}

static void put_store(struct machine *machine, GByteArray *sections)
{
	struct saved_rings rings = { .console_holds_input = console_holds_input(machine->console) };
	const struct xs_conn *conn = xenstore_ring_conn(machine->store_ring, &rings.xenstore_had_request, &rings.xenstore_is_broken);
	size_t begin = saved_section_begin(sections, SAVED_XENSTORE);

	xenstore_lock(machine->store);
	xenstore_save(machine->store, conn, sections);
	xenstore_unlock(machine->store);
	saved_section_end(sections, begin);
	begin = saved_section_begin(sections, SAVED_RINGS);
	saved_rings_write(sections, &rings);
	saved_section_end(sections, begin);
}

static bool is_hypervisors(const void *opaque, uint64_t gfn)
{
	const struct xen_domain *xen = opaque;

	return pages_at(&xen->pages, gfn) != NULL;
}

static int write_memory(const struct vm *vm, int fd, uint64_t memory_offset, uint64_t *sums, uint64_t *stored_bytes)
{
	const struct layout *layout = guest_memory_layout(vm->memory);
	const uint64_t ranges[][2] = { { 0, layout->special_end_gpa }, { LAYOUT_4GIB, layout->high_ram_top_gpa } };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(ranges); i++) {
		struct saved_range range = { .gpa = ranges[i][0], .len_bytes = ranges[i][1] - ranges[i][0] };

		if (range.len_bytes == 0)
			continue;
		range.bytes = guest_memory_span(vm->memory, range.gpa, range.len_bytes);
		g_assert(range.bytes);
		rc = saved_memory_write(fd, memory_offset, &range, is_hypervisors, vm->xen, sums, stored_bytes);
	}
	return rc;
}

/*
 * The header last. It is on the disk before the domain is let go of: what the file system finds out late is an error like others.
 *
 * syscalls(main): ftruncate pwrite64 fdatasync
 */
static bool write_file(const struct machine *machine, int fd, GByteArray *sections, const GPtrArray *disks, uint64_t *stored_bytes,
		       GError **error)
{
	const struct vm *vm = &machine->vm;
	struct saved_header header = { .memory_bytes = saved_memory_bytes(guest_memory_layout(vm->memory)),
				       .disk_bytes = saved_disks_data_bytes(disks, disks->len) };
	const uint64_t n_chunks = SAVED_N_CHUNKS(header.memory_bytes), n_sums = n_chunks + saved_disks_n_data(disks);
	g_autofree uint64_t *sums = g_new0(uint64_t, n_sums);
	uint8_t page[SAVED_PAGE_BYTES];
	size_t begin = saved_section_begin(sections, SAVED_SUMS);

	header.sections_bytes = sections->len + n_sums * sizeof(sums[0]);
	header.memory_offset = (SAVED_PAGE_BYTES + header.sections_bytes + SAVED_PAGE_BYTES - 1) / SAVED_PAGE_BYTES * SAVED_PAGE_BYTES;
	int rc = header.sections_bytes > SAVED_SECTIONS_MAX_BYTES ? EFBIG : 0;
	if (rc == 0 && ftruncate(fd, (off_t)saved_header_file_bytes(&header)) != 0)
		rc = errno;
	if (rc == 0)
		rc = write_memory(vm, fd, header.memory_offset, sums, stored_bytes);
	if (rc == 0)
		rc = machine_write_disks(machine, disks, fd, header.memory_offset + header.memory_bytes, sums + n_chunks, stored_bytes);
	for (uint64_t i = 0; i < n_sums; i++)
		saved_put_u64(sections, sums[i]);
	saved_section_end(sections, begin);
	*stored_bytes += SAVED_PAGE_BYTES + sections->len;
	if (rc == 0)
		rc = write_whole_at(fd, sections->data, sections->len, SAVED_PAGE_BYTES);
	saved_header_write(page, &header);
	if (rc == 0)
		rc = write_whole_at(fd, page, sizeof(page), 0);
	if (rc == 0 && fdatasync(fd) != 0)
		rc = errno;
	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot write the file: %s", g_strerror(rc));
	return rc == 0;
}

/* While all vCPUs are paused, and the disks suspended: what they have answered is there. Sections in the order of their kinds. */
static bool save_paused(struct machine *machine, int fd, bool was_paused, uint64_t *stored_bytes, GError **error)
{
	g_autoptr(GByteArray) sections = g_byte_array_new();
	g_autoptr(GByteArray) vcpus = g_byte_array_new();
	g_autoptr(GPtrArray) disks = machine_describe_saved_disks(machine, error);

	if (!disks)
		return false;
	/* First the vCPUs: what is left of their last exits may change memory. The clock is later than all that they have seen. */
	if (!put_vcpus(machine, vcpus, error))
		return false;
	put_domain(machine, was_paused, sections);
	if (!put_clock(&machine->vm, sections, error) || !put_hypervisor(machine, sections, error))
		return false;
	put_store(machine, sections);
	size_t begin = saved_section_begin(sections, SAVED_DISKS);
	saved_disks_write(sections, disks);
	saved_section_end(sections, begin);
	saved_put_bytes(sections, vcpus->data, vcpus->len);
	return write_file(machine, fd, sections, disks, stored_bytes, error);
}

bool machine_save(void *opaque, bool leave_running, int fd, uint64_t *stored_bytes, GError **error)
{
	struct machine *machine = opaque;
	struct vm *vm = &machine->vm;
	const bool was_paused = vm->paused;
	bool saved = false;

	*stored_bytes = 0;
	if (!check(machine, fd, error))
		return false;
	if (guest_memory_is_deferred(vm->memory))
		guest_memory_await(vm->memory);
	vcpu_pause_all(vm, true);
	if (vcpu_await_pause(vm, PAUSE_MS)) {
		/* What the reader takes is out before memory is written, and what it does not is only in the file: each once. */
		console_pump(machine->console);
		saved = machine_suspend_disks(machine, error) && save_paused(machine, fd, was_paused, stored_bytes, error);
	} else {
		refuse_usage(error, "cannot save it: its vCPUs do not come to rest");
	}
	if (saved && !leave_running) {
		console_leave_ring(machine->console);
		machine->told_to_stop = OUTCOME_SAVED;
		vm_end(vm, OUTCOME_SAVED, 0, NULL);
	} else {
		machine_resume_disks(machine);
		if (!was_paused)
			vcpu_pause_all(vm, false);
	}
	return saved;
}
