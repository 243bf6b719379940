// SPDX-License-Identifier: MIT
#include "xen/domain.h"

#include "vmm/error.h"
#include "vmm/kvm.h"
#include "vmm/vm.h"

static bool activate_shared_info(const struct xen_domain *xen, GError **error)
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

struct xen_domain *xen_domain_new(struct vm *vm, const struct xen_domain_config *config, GError **error)
{
	struct xen_domain *xen = g_new0(struct xen_domain, 1);

	xen->vm = vm;
	parse_uuid(xen->uuid, config->uuid);
	xen->pages.memfd = -1;
	pthread_mutex_init(&xen->lock, NULL);
	shim_log_init(&xen->shim_log, config->shim_log_fd);
	evtchn_init(&xen->events, vm->n_vcpus);
	xen->events_kvm = evtchn_kvm_new(vm->vm_fd, &xen->events);
	if (!xen->events_kvm) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "out of memory");
	} else if (pages_init(&xen->pages, config->max_grant_frames, error) && activate_shared_info(xen, error) &&
		   reserve_ports(xen, error)) {
		return xen;
	}
	xen_domain_free(xen);
	return NULL;
}

void xen_domain_free(struct xen_domain *xen)
{
	if (!xen)
		return;
	evtchn_kvm_free(xen->events_kvm);
	pages_fini(&xen->pages);
	pthread_mutex_destroy(&xen->shim_log.lock);
	pthread_mutex_destroy(&xen->lock);
	g_free(xen);
}
