// SPDX-License-Identifier: MIT
#include "xen/evtchn_kvm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "inject/event_relay.h"
#include "vmm/kvm.h"

/* Any free number does: there are no interrupt pins. */
#define FIRST_GSI       24u
#define BACKENDS_MAX    1024u
#define PRIORITY_2LEVEL KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL

struct backend_slot {
	struct evtchn_backend public;
	uint16_t vcpu;
	/* The kernel's ends: the same, unless a relay stands between. */
	int kernel_from_fd, kernel_to_fd;
	struct event_relay *relay; /* NULL: none */
	struct backend_slot *next_retired;
};

struct evtchn_kvm {
	int vm_fd;
	struct evtchn_table *table;
	const struct inject_plan *inject; /* NULL: events pass as they are */
	struct evtchn_view known[EVTCHN_N_PORTS];
	struct backend_slot *backends[BACKENDS_MAX]; /* index + FIRST_GSI is the GSI */
	struct backend_slot *retired; /* closed by the guest while their back end may still look at them */
};

struct evtchn_kvm *evtchn_kvm_new(int vm_fd, struct evtchn_table *table)
{
	struct evtchn_kvm *kvm = calloc(1, sizeof(*kvm));

	if (!kvm)
		return NULL;
	kvm->vm_fd = vm_fd;
	kvm->table = table;
	return kvm;
}

void evtchn_kvm_inject(struct evtchn_kvm *kvm, const struct inject_plan *plan)
{
	kvm->inject = plan;
}

/* syscalls(main): close */
static void backend_slot_free(struct backend_slot *slot)
{
	if (!slot)
		return;
	event_relay_free(slot->relay);
	if (slot->public.from_guest_fd >= 0)
		close(slot->public.from_guest_fd);
	if (slot->public.to_guest_fd >= 0)
		close(slot->public.to_guest_fd);
	free(slot);
}

void evtchn_kvm_free(struct evtchn_kvm *kvm)
{
	if (!kvm)
		return;
	for (unsigned int i = 0; i < BACKENDS_MAX; i++)
		backend_slot_free(kvm->backends[i]);
	while (kvm->retired) {
		struct backend_slot *slot = kvm->retired;

		kvm->retired = slot->next_retired;
		backend_slot_free(slot);
	}
	free(kvm);
}

/* The index of the port's back end, BACKENDS_MAX if there is none; port 0 finds a free place. */
static unsigned int find_backend(const struct evtchn_kvm *kvm, uint32_t port)
{
	unsigned int i = 0;

	while (i < BACKENDS_MAX && (kvm->backends[i] ? kvm->backends[i]->public.port : 0) != port)
		i++;
	return i;
}

const struct evtchn_backend *evtchn_kvm_backend(const struct evtchn_kvm *kvm, uint32_t port)
{
	unsigned int i = port ? find_backend(kvm, port) : BACKENDS_MAX;

	return i < BACKENDS_MAX ? &kvm->backends[i]->public : NULL;
}

void evtchn_kvm_serve(struct evtchn_kvm *kvm, uint32_t port, bool (*serve)(void *opaque), void *opaque)
{
	unsigned int i = find_backend(kvm, port);

	assert(i < BACKENDS_MAX && kvm->known[port].target == EVTCHN_VIEW_SERVED);
	kvm->backends[i]->public.serve = serve;
	kvm->backends[i]->public.opaque = opaque;
}

/* syscalls(main, vcpu): write */
static void signal_eventfd(int fd)
{
	const uint64_t one = 1;

	/* EAGAIN: 2^64 events are waiting already, one of them will do. */
	ssize_t written = write(fd, &one, sizeof(one));
	(void)written;
}

const struct evtchn_backend *evtchn_kvm_sent(const struct evtchn_kvm *kvm, uint32_t port)
{
	const struct evtchn_backend *backend = evtchn_kvm_backend(kvm, port);

	if (!backend)
		return NULL;
	const struct backend_slot *slot = kvm->backends[find_backend(kvm, port)];
	if (kvm->known[port].target == EVTCHN_VIEW_SERVED && !slot->relay)
		return backend;
	signal_eventfd(slot->kernel_from_fd);
	return NULL;
}

void evtchn_kvm_release(struct evtchn_kvm *kvm, const struct evtchn_backend *backend)
{
	struct backend_slot **link = &kvm->retired;

	while (*link && &(*link)->public != backend)
		link = &(*link)->next_retired;
	if (*link) {
		struct backend_slot *slot = *link;

		*link = slot->next_retired;
		backend_slot_free(slot);
	}
}

/* syscalls(main, vcpu): ioctl(KVM_SET_GSI_ROUTING) */
static int set_routes(const struct evtchn_kvm *kvm)
{
	struct kvm_irq_routing *routing = calloc(1, sizeof(*routing) + BACKENDS_MAX * sizeof(routing->entries[0]));
	int rc = 0;

	if (!routing)
		return ENOMEM;
	for (unsigned int i = 0; i < BACKENDS_MAX; i++) {
		const struct backend_slot *slot = kvm->backends[i];

		if (!slot)
			continue;
		routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
			.gsi = FIRST_GSI + i,
			.type = KVM_IRQ_ROUTING_XEN_EVTCHN,
			.u.xen_evtchn = { .port = slot->public.port, .vcpu = slot->vcpu, .priority = PRIORITY_2LEVEL },
		};
	}
	if (ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, routing) != 0)
		rc = errno;
	free(routing);
	return rc;
}

/* syscalls(main, vcpu): ioctl(KVM_IRQFD) */
static int set_irqfd(const struct evtchn_kvm *kvm, unsigned int index, uint32_t flags)
{
	struct kvm_irqfd irqfd = {
		.fd = (uint32_t)kvm->backends[index]->kernel_to_fd,
		.gsi = FIRST_GSI + index,
		.flags = flags,
	};

	return ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) == 0 ? 0 : errno;
}

/* syscalls(main): eventfd2 */
static int open_slot(const struct evtchn_kvm *kvm, struct backend_slot *slot)
{
	struct evtchn_backend *public = &slot->public;

	public->from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	public->to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (public->from_guest_fd < 0 || public->to_guest_fd < 0)
		return errno;
	slot->kernel_from_fd = public->from_guest_fd;
	slot->kernel_to_fd = public->to_guest_fd;
	if (!kvm->inject)
		return 0;
	int rc = event_relay_new(kvm->inject, public->port, kvm->table->ports[public->port].reserved, public->from_guest_fd,
				 public->to_guest_fd, &slot->relay);
	if (slot->relay) {
		slot->kernel_from_fd = event_relay_kernel_from_fd(slot->relay);
		slot->kernel_to_fd = event_relay_kernel_to_fd(slot->relay);
	}
	return rc;
}

static int connect_backend(struct evtchn_kvm *kvm, uint32_t port, uint16_t vcpu)
{
	unsigned int index = find_backend(kvm, 0);
	struct backend_slot *slot = index < BACKENDS_MAX ? calloc(1, sizeof(*slot)) : NULL;

	if (!slot)
		return ENOMEM;
	slot->vcpu = vcpu;
	slot->public.port = port;
	int rc = open_slot(kvm, slot);
	if (rc != 0) {
		backend_slot_free(slot);
		return rc;
	}
	kvm->backends[index] = slot;

	rc = set_routes(kvm);
	if (rc == 0)
		rc = set_irqfd(kvm, index, 0);
	if (rc != 0) {
		kvm->backends[index] = NULL;
		backend_slot_free(slot);
	}
	return rc;
}

static void disconnect_backend(struct evtchn_kvm *kvm, uint32_t port)
{
	unsigned int index = find_backend(kvm, port);

	if (index == BACKENDS_MAX)
		return;
	(void)set_irqfd(kvm, index, KVM_IRQFD_FLAG_DEASSIGN);
	/* The main thread polls these descriptors: they stay open, and nothing comes by them any more. */
	kvm->backends[index]->next_retired = kvm->retired;
	kvm->retired = kvm->backends[index];
	kvm->backends[index] = NULL;
	(void)set_routes(kvm);
}

static int move_backend(struct evtchn_kvm *kvm, uint32_t port, uint16_t vcpu)
{
	kvm->backends[find_backend(kvm, port)]->vcpu = vcpu;
	return set_routes(kvm);
}

static int set_port(const struct evtchn_kvm *kvm, uint32_t port, const struct evtchn_view *view, uint32_t flags)
{
	struct kvm_xen_hvm_attr attr = {
		.type = KVM_XEN_ATTR_TYPE_EVTCHN,
		.u.evtchn = {
			.send_port = port,
			.type = view->ipi ? EVTCHNSTAT_ipi : EVTCHNSTAT_interdomain,
			.flags = flags,
		},
	};

	if (view->target == EVTCHN_VIEW_PORT) {
		attr.u.evtchn.deliver.port.port = view->port;
		attr.u.evtchn.deliver.port.vcpu = view->vcpu;
		attr.u.evtchn.deliver.port.priority = PRIORITY_2LEVEL;
	} else if (!(flags & KVM_XEN_EVTCHN_DEASSIGN)) {
		attr.u.evtchn.deliver.eventfd.fd = kvm->backends[find_backend(kvm, port)]->kernel_from_fd;
	}
	return kvm_set_xen_attr(kvm->vm_fd, &attr);
}

/* Whether KVM answers what the guest sends. */
static bool is_in_kernel(const struct evtchn_view *view)
{
	return view->target == EVTCHN_VIEW_PORT || view->target == EVTCHN_VIEW_EVENTFD;
}

static bool has_backend(const struct evtchn_view *view)
{
	return view->target == EVTCHN_VIEW_EVENTFD || view->target == EVTCHN_VIEW_SERVED;
}

static void forget(struct evtchn_kvm *kvm, uint32_t port)
{
	const struct evtchn_view *old = &kvm->known[port];

	if (is_in_kernel(old))
		(void)set_port(kvm, port, old, KVM_XEN_EVTCHN_DEASSIGN);
	if (has_backend(old))
		disconnect_backend(kvm, port);
	kvm->known[port] = (struct evtchn_view){ .target = EVTCHN_VIEW_NONE };
}

static bool same_view(const struct evtchn_view *a, const struct evtchn_view *b)
{
	return a->target == b->target && a->ipi == b->ipi && a->port == b->port && a->vcpu == b->vcpu;
}

int evtchn_kvm_sync(struct evtchn_kvm *kvm, uint32_t port)
{
	const struct evtchn_view view = evtchn_view(kvm->table, port);
	struct evtchn_view *known = &kvm->known[port];
	int rc = 0;

	if (same_view(&view, known))
		return 0;
	/* The same target on another vCPU keeps its file descriptors, and no event is lost. */
	if (view.target == known->target && view.ipi == known->ipi && view.port == known->port)
		rc = has_backend(&view) ? move_backend(kvm, port, view.vcpu) : set_port(kvm, port, &view, KVM_XEN_EVTCHN_UPDATE);
	else {
		forget(kvm, port);
		if (has_backend(&view))
			rc = connect_backend(kvm, port, view.vcpu);
		if (rc == 0 && is_in_kernel(&view))
			rc = set_port(kvm, port, &view, 0);
		if (rc != 0 && has_backend(&view))
			disconnect_backend(kvm, port);
	}
	if (rc == 0)
		*known = view;
	return rc;
}

/* syscalls(main, vcpu): ioctl(KVM_XEN_HVM_EVTCHN_SEND) */
void evtchn_kvm_deliver(const struct evtchn_kvm *kvm, uint32_t port)
{
	struct kvm_irq_routing_xen_evtchn event = {
		.port = port,
		.vcpu = kvm->table->ports[port].vcpu,
		.priority = PRIORITY_2LEVEL,
	};

	/* It fails only for a port that is not; the event is lost then, as in Xen. */
	(void)ioctl(kvm->vm_fd, KVM_XEN_HVM_EVTCHN_SEND, &event);
}

void evtchn_backend_notify(const struct evtchn_backend *backend)
{
	signal_eventfd(backend->to_guest_fd);
}

void evtchn_backend_wake(const struct evtchn_backend *backend)
{
	signal_eventfd(backend->from_guest_fd);
}

void evtchn_backend_serve(const struct evtchn_backend *backend)
{
	if (!backend->serve || !backend->serve(backend->opaque))
		evtchn_backend_wake(backend);
}
