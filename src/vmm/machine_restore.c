// SPDX-License-Identifier: MIT
/*
 * Restoring: start_vm() with what was saved in the place of what a domain starts with. Time goes on where it stood: the guest's TSCs
 * and Xen's system time are as if nothing had been between, and the wall clock, which KVM writes, is the host's.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <x86intrin.h>

#include "saved/image.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/machine_state.h"
#include "vmm/worker.h"
#include "vmm/vcpu_saved.h"
#include "xen/domain.h"
#include "xen/domain_saved.h"
#include "xen/domid.h"
#include "xen/store_contents.h"
#include "xen/xenstore/saved.h"

/* As much as KVM takes two frequencies for the same, in millionths (its parameter tsc_tolerance_ppm). */
#define TSC_TOLERANCE_PPM 250u

bool machine_check_restore(const struct saved_image *image, int kvm_fd, GError **error)
{
	const struct cpuid_facts facts = { .n_vcpus = image->domain.max_vcpus, .tsc_khz = image->clock.tsc_khz,
					   .xen_version = image->domain.xen_version, .hypercall_msr = KVM_XEN_HYPERCALL_MSR, .domid = GUEST_DOMID };
	g_autofree struct kvm_cpuid2 *supported = kvm_supported_cpuid(kvm_fd, error);

	if (!supported)
		return false;
	g_autofree struct kvm_cpuid2 *now = cpuid_build(supported, &facts);
	g_autofree char *lost = now ? saved_vcpu_lacks(&image->vcpus[0], now) : NULL;
	if (lost)
		return saved_refuse(error, image->file.path, "saved on a host whose CPU has what this one's has not: %s", lost);
	return true;
}

struct showing {
	struct guest_memory *memory;
	const struct saved_file *file;
	bool done;
};

static void show_image(void *opaque)
{
	struct showing *showing = opaque;

	showing->done = guest_memory_show_image(showing->memory, showing->file->fd, showing->file->header.memory_offset);
}

bool machine_restore_memory(struct machine *machine, GError **error)
{
	const struct saved_file *file = &machine->setup->restored->file;
	struct showing showing = { .memory = machine->vm.memory, .file = file };

	worker_run(machine->workers.mapper, show_image, &showing);
	if (!showing.done)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: cannot map it as memory: %s", file->path, g_strerror(errno));
	return showing.done;
}

/* On the host's side of what was saved. syscalls(main): ioctl(KVM_GET_TSC_KHZ) ioctl(KVM_SET_CPUID2) */
bool machine_restore_cpuid(struct machine *machine, GError **error)
{
	const struct saved_image *image = machine->setup->restored;
	struct vm *vm = &machine->vm;
	const uint64_t saved_khz = image->clock.tsc_khz;
	const uint64_t difference_khz = MAX(saved_khz, vm->tsc_khz) - MIN(saved_khz, vm->tsc_khz);

	if (difference_khz * 1000000 > saved_khz * TSC_TOLERANCE_PPM) {
		return saved_refuse(error, image->file.path, "saved on a host whose TSC runs at %" G_GUINT64_FORMAT " kHz; this one's runs at %u",
				    saved_khz, vm->tsc_khz);
	}
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		const struct saved_vcpu *saved = &image->vcpus[i];
		g_autofree struct kvm_cpuid2 *cpuid = g_malloc0(sizeof(*cpuid) + sizeof(saved->cpuid));

		cpuid->nent = saved->n_cpuid;
		memcpy(cpuid->entries, saved->cpuid, saved->n_cpuid * sizeof(saved->cpuid[0]));
		if (ioctl(vm->vcpus[i].fd, KVM_SET_CPUID2, cpuid) != 0)
			return saved_refuse(error, image->file.path, "this host's KVM refuses the CPUID leaves of vCPU %u: %s", i, g_strerror(errno));
	}
	return true;
}

bool machine_restore_xen(struct machine *machine, GError **error)
{
	return xen_domain_restore(machine->vm.xen, machine->setup->restored->hypervisor, error);
}

/* A clone is a domain of its own; what only has another name is the same one. */
static int rename_domain(struct machine *machine)
{
	const struct machine_setup *setup = machine->setup;
	const struct saved_domain *saved = &setup->restored->domain;
	const struct store_contents contents = {
		.name = setup->config->name,
		.uuid = machine->uuid,
		.generation_id = { setup->generation_id[0], setup->generation_id[1] },
	};
	g_autofree char *vm_name = g_strdup_printf("/vm/%s/name", saved->uuid);

	if (setup->config->as_clone)
		return store_contents_rename(machine->store, saved->uuid, &contents);
	if (strcmp(contents.name, saved->name) == 0)
		return 0;
	int rc = xenstore_printf(machine->store, "/local/domain/1/name", "%s", contents.name);
	return rc == 0 ? xenstore_printf(machine->store, vm_name, "%s", contents.name) : rc;
}

bool machine_restore_store(struct machine *machine, struct xs_conn **conn, GError **error)
{
	machine->store = xenstore_restore(machine->setup->restored->xenstore, &XENSTORE_QUOTA_DEFAULT, GUEST_DOMID, conn);
	int rc = machine->store ? rename_domain(machine) : ENOMEM;

	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot restore the xenstore: %s", g_strerror(rc));
	return rc == 0;
}

struct vcpu_errand {
	const struct saved_image *image;
	int64_t tsc_lost; /* the host's TSC has gone on so much since */
	const char *failed;
	int error;
	uint32_t msr;
};

static int64_t restore_tsc(struct vcpu *vcpu, void *opaque)
{
	struct vcpu_errand *errand = opaque;

	errand->failed = vcpu_restore_tsc(vcpu, &errand->image->vcpus[vcpu->number], errand->tsc_lost);
	errand->error = errno;
	return 0;
}

static int64_t restore_vcpu(struct vcpu *vcpu, void *opaque)
{
	struct vcpu_errand *errand = opaque;

	errand->failed = vcpu_restore(vcpu, &errand->image->vcpus[vcpu->number], &errand->msr);
	errand->error = errno;
	return 0;
}

static bool on_each_vcpu(struct vm *vm, int64_t (*fn)(struct vcpu *vcpu, void *opaque), struct vcpu_errand *errand, GError **error)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		if (vcpu_call(&vm->vcpus[i], NULL, fn, errand, -1) != 0) {
			g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "the domain ends before it is restored");
			return false;
		}
		if (!errand->failed)
			continue;
		g_autofree char *msr = strcmp(errand->failed, "KVM_SET_MSRS") == 0 ? g_strdup_printf(" of 0x%x", errand->msr) : g_strdup("");
		return saved_refuse(error, errand->image->file.path, "this host's KVM refuses the state of vCPU %u: %s%s: %s", i, errand->failed,
				    msr, g_strerror(errand->error));
	}
	return true;
}

/* Xen's system time goes on with the TSCs, which have since host_tsc. syscalls(main): ioctl(KVM_SET_CLOCK) */
static bool restore_clock(const struct vm *vm, const struct saved_clock *saved, uint64_t host_tsc, GError **error)
{
	const uint64_t ns_per_ms = 1000000;
	/* khz is ticks in a millisecond; they are few. */
	const uint64_t since_ns = (__rdtsc() - host_tsc) * ns_per_ms / MAX(vm->tsc_khz, 1u);
	struct kvm_clock_data clock = { .clock = saved->clock_ns + since_ns };

	if (ioctl(vm->vm_fd, KVM_SET_CLOCK, &clock) == 0)
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "KVM_SET_CLOCK: %s", g_strerror(errno));
	return false;
}

bool machine_restore_vcpus(struct machine *machine, GError **error)
{
	const struct saved_image *image = machine->setup->restored;
	struct vm *vm = &machine->vm;
	const uint64_t host_tsc = __rdtsc();
	struct vcpu_errand errand = { .image = image, .tsc_lost = (int64_t)(host_tsc - image->clock.host_tsc) };

	/* They look whether they are paused before they enter the guest. */
	vm->paused = true;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
	machine_start_vcpus(vm);
	if (!on_each_vcpu(vm, restore_tsc, &errand, error) || !restore_clock(vm, &image->clock, host_tsc, error) ||
	    !on_each_vcpu(vm, restore_vcpu, &errand, error) || !xen_domain_restore_delivery(vm->xen, image->hypervisor, error))
		return false;
	/* KVM writes the wall clock. */
	if (!xen_domain_activate_shared_info(vm->xen, error))
		return false;
	/* What was on its way to a back end, or from it, comes now: each looks at its ring. */
	const struct evtchn_backend *console = evtchn_kvm_backend(vm->xen->events_kvm, vm->xen->console_port);
	const struct evtchn_backend *store = evtchn_kvm_backend(vm->xen->events_kvm, vm->xen->xenstore_port);
	evtchn_backend_wake(console);
	if (!image->rings.console_holds_input)
		evtchn_backend_notify(console);
	if (image->rings.xenstore_had_request)
		evtchn_backend_notify(store);
	machine_resume_disks(machine);
	record_phase(vm->record, PHASE_VCPU_RUN, NULL);
	if (!image->domain.is_paused)
		vcpu_pause_all(vm, false);
	return true;
}
