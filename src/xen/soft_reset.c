// SPDX-License-Identifier: MIT
/*
 * Soft reset: what a kernel asks for that starts another one in its place (kexec), so that the new one finds the
 * hypervisor as at the domain's start. Xen does it in domain_soft_reset() and arch_domain_soft_reset(), its toolstack the
 * rest: SHUTDOWN_soft_reset of <xen/sched.h>.
 *
 * The old kernel runs for some moments after it, in memory that must stay as it is: a page at which shared_info or a grant
 * frame showed is RAM again, and zero, as in Xen.
 */
#include "xen/domain.h"

#include <errno.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/abi.h"
#include "xen/hypercall.h"

/* A port of the toolstack's, which the guest may have closed or moved. The others are closed: it gets its number again. */
static int restore_port(struct xen_domain *xen, uint32_t port)
{
	uint32_t fresh = port;
	int rc = 0;

	if (evtchn_is_bound(&xen->events, port))
		xen->events.ports[port].vcpu = 0;
	else if (evtchn_backend_reserve(&xen->events, &fresh) != 0)
		rc = ENOSPC;
	g_assert(fresh == port);
	return rc == 0 ? evtchn_kvm_sync(xen->events_kvm, port) : rc;
}

static int reset_events(struct xen_domain *xen)
{
	int rc;

	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++) {
		uint32_t other;

		if (!evtchn_is_bound(&xen->events, port) || xen->events.ports[port].reserved)
			continue;
		(void)evtchn_close(&xen->events, port, &other);
		(void)evtchn_kvm_sync(xen->events_kvm, port);
		if (other)
			(void)evtchn_kvm_sync(xen->events_kvm, other);
	}
	xen->events.n_ports = xen->max_ports;
	rc = restore_port(xen, xen->xenstore_port);
	return rc == 0 ? restore_port(xen, xen->console_port) : rc;
}

static void end_mappings(struct xen_domain *xen)
{
	for (uint32_t i = 0; i < GRANT_MAP_HANDLES; i++) {
		const struct grant_map_handle *handle = grant_maps_handle(&xen->maps, i);

		if (!handle)
			continue;
		const struct grant_map_handle copy = *handle;
		if (grant_maps_remove(&xen->maps, xen->vm->memory, i))
			(void)reservation_take_back(&xen->reservation, copy.gfn, 0);
	}
}

/* What showed in the guest's RAM leaves RAM behind. */
static void take_pages_away(struct xen_domain *xen)
{
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		if (xen->pages.gfn[i] != PAGES_NOWHERE)
			(void)reservation_take_back(&xen->reservation, xen->pages.gfn[i], 0);
	pages_reset(&xen->pages, xen->vm->memory);
}

/*
 * The clock of a vCPU stays. KVM writes it when the vCPU runs, and those that the old kernel has parked do not; a crash
 * kernel on vCPU 1 computes with vCPU 0's before it starts that.
 */
static void reset_vcpu(struct xen_domain *xen, struct vcpu *vcpu, const struct vcpu_time_info *time)
{
	const struct kvm_xen_vcpu_attr attrs[] = {
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, .u.gpa = KVM_XEN_INVALID_GPA },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR, .u.gpa = KVM_XEN_INVALID_GPA },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0 },
		{ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER, .u.timer.port = 0 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(attrs); i++)
		(void)kvm_set_xen_vcpu_attr(vcpu->fd, &attrs[i]);
	vcpu->vcpu_info_registered = false;
	vcpu->initialised = false;
	vcpu->upcall_vector = 0;
	xen->timer_port[vcpu->number] = 0;
	/* Its vcpu_info is in shared_info again. */
	struct shared_info *shared_info = pages_shared_info(&xen->pages);
	shared_info->vcpu_info[vcpu->number].time = *time;
	hypercall_vcpu_starts(vcpu);
}

static void reset_vcpus(struct xen_domain *xen, const struct vcpu_time_info *times)
{
	for (unsigned int i = 0; i < xen->vm->n_vcpus; i++)
		reset_vcpu(xen, &xen->vm->vcpus[i], &times[i]);
}

static bool reset_tables(struct xen_domain *xen)
{
	const unsigned int max_frames = xen->grants.max_frames, max_version = xen->grants.max_version;
	const struct trace *trace = xen->grants.trace;

	end_mappings(xen);
	take_pages_away(xen);
	grant_table_fini(&xen->grants);
	if (!grant_table_init(&xen->grants, pages_grant_frames(&xen->pages), pages_status_frames(&xen->pages), max_frames,
			      max_version))
		return false;
	xen->grants.trace = trace;
	return true;
}

bool xen_domain_soft_reset(struct xen_domain *xen, GError **error)
{
	const struct kvm_xen_hvm_attr no_vector = { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR };
	const struct kvm_xen_hvm_attr no_flag = { .type = KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG };
	struct vcpu_time_info times[EVTCHN_MAX_VCPUS];

	for (unsigned int i = 0; i < xen->vm->n_vcpus; i++)
		times[i] = ((const struct vcpu_info *)xen->vm->vcpus[i].vcpu_info)->time;
	pthread_mutex_lock(&xen->lock);
	timers_stop_all(xen);
	int rc = reset_events(xen);
	(void)kvm_set_xen_attr(xen->vm->vm_fd, &no_vector);
	(void)kvm_set_xen_attr(xen->vm->vm_fd, &no_flag);
	if (rc == 0 && !reset_tables(xen))
		rc = ENOMEM;
	reset_vcpus(xen, times);
	hvm_params_init(xen);
	xen->shutdown_code = SHUTDOWN_CODE_NONE;
	pthread_mutex_unlock(&xen->lock);
	if (rc != 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot reset the domain: %s", g_strerror(rc));
		return false;
	}
	xen_domain_latch_mode(xen, true);
	/* KVM writes the wall clock into it. */
	return xen_domain_activate_shared_info(xen, error);
}
