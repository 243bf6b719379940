// SPDX-License-Identifier: MIT
#include "xen/domain.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"
#include "xen/shared_info.h"

bool xen_domain_activate_shared_info(const struct xen_domain *xen, GError **error)
{
	/* From the first moment, wherever the guest will want to see the page: no event is lost before that. */
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA,
		.u.shared_info.hva = (uint64_t)(uintptr_t)pages_shared_info(&xen->pages),
	};
	int rc = kvm_set_xen_attr(xen->vm->vm_fd, &attr);

	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot activate shared_info: %s", g_strerror(rc));
	return rc == 0;
}

/* The two ports that a guest finds bound; Xen's toolstack allocates them first and in this order. */
static bool reserve_ports(struct xen_domain *xen, GError **error)
{
	int rc = 0;

	if (evtchn_backend_reserve(&xen->events, &xen->xenstore_port) != 0 ||
	    evtchn_backend_reserve(&xen->events, &xen->console_port) != 0)
		g_assert_not_reached(); /* the table is empty */
	rc = evtchn_kvm_sync(xen->events_kvm, xen->xenstore_port);
	if (rc == 0)
		rc = evtchn_kvm_sync(xen->events_kvm, xen->console_port);
	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot set up event channels: %s", g_strerror(rc));
	return rc == 0;
}

/* As Xen keeps it: the bytes in the order in which they are written. */
static void parse_uuid(uint8_t uuid[16], const char *text)
{
	for (size_t i = 0; i < 16; text++) {
		if (*text == '-')
			continue;
		uuid[i++] = (uint8_t)(g_ascii_xdigit_value(text[0]) << 4 | g_ascii_xdigit_value(text[1]));
		text++;
	}
}

/* syscalls(main, vcpu): ioctl(KVM_XEN_HVM_GET_ATTR) */
bool xen_domain_is_64bit(const struct xen_domain *xen)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE };

	/* It cannot fail with a VM of ours; 64 bits are what a domain starts with. */
	return ioctl(xen->vm->vm_fd, KVM_XEN_HVM_GET_ATTR, &attr) != 0 || attr.u.long_mode != 0;
}

void xen_domain_latch_mode(struct xen_domain *xen, bool is_64bit)
{
	struct kvm_xen_hvm_attr attr = { .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = is_64bit };

	if (xen_domain_is_64bit(xen) != is_64bit)
		(void)kvm_set_xen_attr(xen->vm->vm_fd, &attr);
}

static bool init_tables(struct xen_domain *xen, const struct xen_domain_config *config, GError **error)
{
	unsigned int grant_version = xen->vm->has_shim ? 1 : 2;
	int rc = 0;

	/* The shim's guest sees version 1 whatever the shim could use. */
	if (!grant_table_init(&xen->grants, pages_grant_frames(&xen->pages), pages_status_frames(&xen->pages),
			      config->max_grant_frames, grant_version) ||
	    !reservation_init(&xen->reservation, guest_memory_layout(xen->vm->memory)))
		rc = ENOMEM;
	else if (!grant_maps_init(&xen->maps, guest_memory_mapper(xen->vm->memory)))
		rc = errno;
	else if (!timers_init(xen))
		rc = errno;
	if (trace_wants(&xen->vm->trace, TRACE_GRANT))
		xen->grants.trace = &xen->vm->trace;
	if (rc != 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot set up the hypervisor's tables: %s", g_strerror(rc));
	return rc == 0;
}

struct xen_domain *xen_domain_new(struct vm *vm, const struct xen_domain_config *config, GError **error)
{
	struct xen_domain *xen = g_new0(struct xen_domain, 1);

	xen->vm = vm;
	parse_uuid(xen->uuid, config->uuid);
	xen->pages.memfd = xen->maps.memfd = -1;
	pthread_mutex_init(&xen->lock, NULL);
	shim_log_init(&xen->shim_log, config->shim_log_fd);
	evtchn_init(&xen->events, vm->n_vcpus);
	xen->timers.fd = -1;
	xen->shutdown_code = SHUTDOWN_CODE_NONE;
	xen->max_ports = config->max_event_channels && config->max_event_channels < EVTCHN_N_PORTS ?
				 config->max_event_channels + 1 : EVTCHN_N_PORTS;
	xen->events.n_ports = xen->max_ports;
	xen->events_kvm = evtchn_kvm_new(vm->vm_fd, &xen->events);
	if (xen->events_kvm)
		evtchn_kvm_inject(xen->events_kvm, config->inject);
	if (!xen->events_kvm) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
	} else if (pages_init(&xen->pages, config->max_grant_frames, error) && init_tables(xen, config, error) &&
		   xen_domain_activate_shared_info(xen, error) && reserve_ports(xen, error)) {
		hvm_params_init(xen);
		return xen;
	}
	xen_domain_free(xen);
	return NULL;
}

void xen_domain_free(struct xen_domain *xen)
{
	if (!xen)
		return;
	timers_fini(xen);
	reservation_fini(&xen->reservation);
	grant_maps_fini(&xen->maps);
	grant_table_fini(&xen->grants);
	evtchn_kvm_free(xen->events_kvm);
	pages_fini(&xen->pages);
	pthread_mutex_destroy(&xen->shim_log.lock);
	pthread_mutex_destroy(&xen->lock);
	g_free(xen);
}
