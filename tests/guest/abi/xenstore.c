// SPDX-License-Identifier: MIT
/* A client of the xenstore: one request at a time, events counted. Source: <xen/io/xs_wire.h>. */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/params.h>
#include <xen/io/xs_wire.h>
#include <xen/sched.h>

#include "xenstore.h"

#define LIMIT_NS 60000000000ull

unsigned int xenstore_events;

static volatile struct xenstore_domain_interface *ring;
static evtchn_port_t port;

void xenstore_init(void)
{
	ring = (volatile struct xenstore_domain_interface *)(uintptr_t)(parameter(HVM_PARAM_STORE_PFN) * PAGE_BYTES);
	port = (evtchn_port_t)parameter(HVM_PARAM_STORE_EVTCHN);
}

static void notify(void)
{
	struct evtchn_send send = { .port = port };

	(void)event_channel_op(EVTCHNOP_send, &send);
}

static void put(const void *bytes, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		while (ring->req_prod - ring->req_cons == XENSTORE_RING_SIZE) {
			notify();
			(void)sched_op(SCHEDOP_yield, NULL);
		}
		ring->req[MASK_XENSTORE_IDX(ring->req_prod)] = ((const char *)bytes)[i];
		__asm__ volatile("" : : : "memory");
		ring->req_prod++;
	}
}

static bool get(void *bytes, size_t len_bytes)
{
	const uint64_t end_ns = system_time_ns() + LIMIT_NS;

	for (size_t i = 0; i < len_bytes; i++) {
		while (ring->rsp_prod == ring->rsp_cons) {
			(void)sched_op(SCHEDOP_yield, NULL);
			if (system_time_ns() > end_ns)
				return false;
		}
		((char *)bytes)[i] = ring->rsp[MASK_XENSTORE_IDX(ring->rsp_cons)];
		__asm__ volatile("" : : : "memory");
		ring->rsp_cons++;
		if (ring->rsp_prod - ring->rsp_cons == XENSTORE_RING_SIZE - 1)
			notify();
	}
	return true;
}

/* FALSE: nothing came, or not what is a message. */
static bool get_message(struct xsd_sockmsg *header, char answer[XENSTORE_PAYLOAD_MAX + 1])
{
	if (!get(header, sizeof(*header)) || header->len > XENSTORE_PAYLOAD_MAX || !get(answer, header->len))
		return false;
	answer[header->len] = '\0';
	return true;
}

bool xenstore_call(uint32_t type, uint32_t transaction, const char *payload, size_t len_bytes, char answer[XENSTORE_PAYLOAD_MAX + 1])
{
	static uint32_t request;
	struct xsd_sockmsg header = { .type = type, .req_id = ++request, .tx_id = transaction, .len = (uint32_t)len_bytes };

	put(&header, sizeof(header));
	put(payload, len_bytes);
	notify();
	do {
		if (!get_message(&header, answer))
			return false;
		xenstore_events += header.type == XS_WATCH_EVENT;
	} while (header.type == XS_WATCH_EVENT);
	return header.type == type && header.req_id == request && header.tx_id == transaction;
}

void xenstore_take_events(char answer[XENSTORE_PAYLOAD_MAX + 1])
{
	struct xsd_sockmsg header;

	while (ring->rsp_prod != ring->rsp_cons && get_message(&header, answer))
		xenstore_events += header.type == XS_WATCH_EVENT;
	notify();
}
