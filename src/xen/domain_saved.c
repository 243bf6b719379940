// SPDX-License-Identifier: MIT
#include "xen/domain_saved.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "saved/hypervisor.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/shared_info.h"
#include "xen/vcpu_info.h"

/* syscalls(main): ioctl(KVM_XEN_HVM_GET_ATTR) */
static bool get_attr(const struct xen_domain *xen, uint16_t type, struct kvm_xen_hvm_attr *attr)
{
	*attr = (struct kvm_xen_hvm_attr){ .type = type };
	return ioctl(xen->vm->vm_fd, KVM_XEN_HVM_GET_ATTR, attr) == 0;
}

static bool has_pins(const struct grant_table *grants)
{
	for (unsigned int i = 0; i < grants->max_frames * GRANT_ENTRIES_V1_PER_FRAME; i++)
		if (grants->pins[i].readers || grants->pins[i].writers)
			return true;
	return false;
}

/* The port of a back end that the guest has closed leaves the back end without one. */
static bool is_ours(const struct xen_domain *xen, uint32_t port)
{
	return xen->events.ports[port].reserved && evtchn_kvm_backend(xen->events_kvm, port);
}

static bool check(const struct xen_domain *xen, GError **error)
{
	if (xen->maps.n_handles > 0)
		return refuse_usage(error, "cannot save it: the guest has mapped grants of its own, and these are not saved yet");
	if (has_pins(&xen->grants))
		return refuse_usage(error, "cannot save it: grants of the guest's are in use, and these are not saved yet");
	if (!is_ours(xen, xen->xenstore_port) || !is_ours(xen, xen->console_port))
		return refuse_usage(error, "cannot save it: the guest has closed the port of its console or xenstore");
	return true;
}

bool xen_domain_save(struct xen_domain *xen, struct saved_hypervisor *saved, GError **error)
{
	struct kvm_xen_hvm_attr attr;

	pthread_mutex_lock(&xen->lock);
	bool ok = check(xen, error);
	if (ok) {
		*saved = (struct saved_hypervisor){
			.is_64bit = xen_domain_is_64bit(xen),
			.xenstore_port = xen->xenstore_port,
			.console_port = xen->console_port,
			.shim_pages = atomic_load(&xen->shim_log.shim_pages),
			.events = xen->events,
			.n_grant_frames = xen->grants.n_frames,
			.grant_version = xen->grants.version,
			.pages = xen->pages.hva,
		};
		saved->upcall_vector = get_attr(xen, KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, &attr) ? attr.u.vector : 0;
		saved->has_runstate_flag = get_attr(xen, KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG, &attr) && attr.u.runstate_update_flag;
		memcpy(saved->page_gfns, xen->pages.gfn, sizeof(saved->page_gfns));
		memcpy(saved->params, xen->params.values, sizeof(saved->params));
		timers_save(xen, &saved->timers);
		if (xen->reservation.absent_pages > 0)
			saved->absent = xen->reservation.absent;
		saved->absent_bytes = saved->absent ? reservation_bytes(&xen->reservation) : 0;
	}
	pthread_mutex_unlock(&xen->lock);
	return ok;
}

static const char *restore_tables(struct xen_domain *xen, const struct saved_hypervisor *saved)
{
	const unsigned int n_pages = pages_number(xen->pages.n_grant_frames);
	struct kvm_xen_hvm_attr mode = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = saved->is_64bit };

	errno = kvm_set_xen_attr(xen->vm->vm_fd, &mode);
	if (errno != 0)
		return "KVM_XEN_ATTR_TYPE_LONG_MODE";
	memcpy(xen->pages.hva, saved->pages, n_pages * LAYOUT_PAGE_BYTES);
	for (unsigned int i = 0; i < n_pages; i++) {
		errno = saved->page_gfns[i] == PAGES_NOWHERE ? 0 : pages_show(&xen->pages, xen->vm->memory, i, saved->page_gfns[i]);
		if (errno != 0)
			return "pages of the hypervisor";
	}
	errno = EINVAL;
	if (saved->absent && !reservation_take_absent(&xen->reservation, saved->absent, saved->absent_bytes))
		return "pages that the guest has given back";
	xen->grants.n_frames = saved->n_grant_frames;
	xen->grants.version = saved->grant_version;
	memcpy(xen->params.values, saved->params, sizeof(xen->params.values));
	atomic_store(&xen->shim_log.shim_pages, saved->shim_pages);
	return NULL;
}

static bool fail(const char *what, GError **error)
{
	if (what)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot restore the domain: %s: %s", what, g_strerror(errno));
	return !what;
}

bool xen_domain_restore(struct xen_domain *xen, const struct saved_hypervisor *saved, GError **error)
{
	const char *failed;

	pthread_mutex_lock(&xen->lock);
	failed = restore_tables(xen, saved);
	xen->console_port = saved->console_port;
	xen->xenstore_port = saved->xenstore_port;
	xen->events = saved->events;
	for (uint32_t port = 1; !failed && port < EVTCHN_N_PORTS; port++) {
		errno = evtchn_kvm_sync(xen->events_kvm, port);
		if (errno != 0)
			failed = "event channels";
	}
	for (unsigned int i = 0; i < xen->vm->n_vcpus; i++)
		xen->timer_port[i] = xen->events.virq_port[i][VIRQ_TIMER];
	pthread_mutex_unlock(&xen->lock);
	return fail(failed, error);
}

/*
 * KVM may have kept an event's way to the vCPU to itself, when the page of the vCPU's vcpu_info was just being moved. From the
 * pending bits follows what the vCPU must have been told; being told twice harms no guest, as under Xen.
 */
static void tell_pending(struct xen_domain *xen)
{
	uint8_t *shared_info = pages_shared_info(&xen->pages);
	const bool is_64bit = xen_domain_is_64bit(xen);

	for (uint32_t port = 1; port < shared_info_ports(is_64bit); port++) {
		struct vcpu *vcpu = &xen->vm->vcpus[xen->events.ports[port].vcpu];

		if (!evtchn_is_bound(&xen->events, port) || !shared_info_is_pending(shared_info, port) ||
		    shared_info_is_masked(shared_info, is_64bit, port) || vcpu_info_is_told(vcpu->vcpu_info, is_64bit, port))
			continue;
		vcpu_info_mark_all(vcpu->vcpu_info, is_64bit);
		vcpu_info_raise_if_pending(vcpu);
	}
}

bool xen_domain_restore_delivery(struct xen_domain *xen, const struct saved_hypervisor *saved, GError **error)
{
	const struct kvm_xen_hvm_attr vector = { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = saved->upcall_vector };
	const struct kvm_xen_hvm_attr flag = { .type = KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG, .u.runstate_update_flag = 1 };
	const char *failed = NULL;

	pthread_mutex_lock(&xen->lock);
	errno = saved->upcall_vector ? kvm_set_xen_attr(xen->vm->vm_fd, &vector) : 0;
	if (errno != 0)
		failed = "KVM_XEN_ATTR_TYPE_UPCALL_VECTOR";
	errno = !failed && saved->has_runstate_flag ? kvm_set_xen_attr(xen->vm->vm_fd, &flag) : 0;
	if (!failed && errno != 0 && errno != EOPNOTSUPP)
		failed = "KVM_XEN_ATTR_TYPE_RUNSTATE_UPDATE_FLAG";
	if (!failed) {
		tell_pending(xen);
		timers_restore(xen, &saved->timers);
	}
	pthread_mutex_unlock(&xen->lock);
	return fail(failed, error);
}
