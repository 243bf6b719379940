// SPDX-License-Identifier: MIT
/* Domain 0 over the socket for tools on the host, domain 1 over its ring; others, of which dom1 has none, directly. */
#include "transport.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "control/xenstore_socket.h"
#include "vmm/guest_memory.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/evtchn_kvm.h"
#include "xen/ring.h"
#include "xen/xenstore_ring.h"

#define MIB (UINT64_C(1) << 20)

struct transport {
	/* A tool's. */
	struct xenstore_socket *server;
	int listen_fd, fd;
	/* The guest's. */
	struct guest_memory *memory;
	struct xenstore_domain_interface *page;
	struct evtchn_backend port;
	struct trace trace;
	struct xenstore_ring *ring;
	bool by_main_thread; /* the next event */
};

const bool TRANSPORT_IS_DIRECT = false;

static void first_request(void *opaque)
{
	(void)opaque;
}

static void open_ring(struct transport *transport, struct xenstore *store)
{
	struct layout layout;

	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, NULL));
	transport->memory = guest_memory_new(&layout, NULL);
	g_assert_nonnull(transport->memory);
	transport->page = guest_memory_span(transport->memory, layout.xenstore_gpa, LAYOUT_PAGE_BYTES);
	transport->port.from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	transport->port.to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	transport->ring = xenstore_ring_new(store, transport->memory, &transport->port, record_new(0), &transport->trace,
					    first_request, NULL);
	g_assert_nonnull(transport->ring);
	transport->port.serve = xenstore_ring_serve;
	transport->port.opaque = transport->ring;
}

static void open_socket(struct transport *transport, struct xenstore *store)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t len_bytes = sizeof(address);

	transport->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Without a name: the kernel gives one. */
	g_assert_cmpint(bind(transport->listen_fd, (struct sockaddr *)&address, sizeof(address.sun_family)), ==, 0);
	g_assert_cmpint(listen(transport->listen_fd, 1), ==, 0);
	g_assert_cmpint(getsockname(transport->listen_fd, (struct sockaddr *)&address, &len_bytes), ==, 0);
	transport->server = xenstore_socket_new(transport->listen_fd, store);
	transport->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	g_assert_cmpint(connect(transport->fd, (struct sockaddr *)&address, len_bytes), ==, 0);
}

struct transport *transport_new(struct xenstore *store, uint16_t domid)
{
	if (domid > 1)
		return NULL;
	struct transport *transport = g_new0(struct transport, 1);

	if (domid == 1)
		open_ring(transport, store);
	else
		open_socket(transport, store);
	return transport;
}

void transport_free(struct transport *transport)
{
	if (transport->ring) {
		xenstore_ring_free(transport->ring);
		close(transport->port.from_guest_fd);
		close(transport->port.to_guest_fd);
		guest_memory_free(transport->memory);
	} else {
		xenstore_socket_free(transport->server);
		close(transport->listen_fd);
		close(transport->fd);
	}
	g_free(transport);
}

/* The main thread does all there is to do. */
static void settle(void)
{
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static size_t take_from_ring(struct transport *transport, GByteArray *received)
{
	struct xenstore_domain_interface *page = transport->page;
	uint32_t consumer = page->rsp_cons, producer = page->rsp_prod;

	g_assert_cmpuint(producer - consumer, <=, XENSTORE_RING_SIZE);
	for (uint32_t i = consumer; i != producer; i++)
		g_byte_array_append(received, (const guint8 *)&page->rsp[MASK_XENSTORE_IDX(i)], 1);
	page->rsp_cons = producer;
	return producer - consumer;
}

static size_t put_into_ring(struct transport *transport, const uint8_t *bytes, size_t len_bytes)
{
	struct xenstore_domain_interface *page = transport->page;
	size_t n = MIN(len_bytes, XENSTORE_RING_SIZE - (page->req_prod - page->req_cons));

	for (size_t i = 0; i < n; i++)
		page->req[MASK_XENSTORE_IDX(page->req_prod + i)] = (char)bytes[i];
	page->req_prod += (uint32_t)n;
	return n;
}

/* As the guest sends: sometimes the main thread is the one that serves. */
static void send_event(struct transport *transport)
{
	transport->by_main_thread = !transport->by_main_thread;
	if (transport->by_main_thread)
		evtchn_backend_wake(&transport->port);
	else
		evtchn_backend_serve(&transport->port);
	settle();
}

static size_t take_from_socket(struct transport *transport, GByteArray *received)
{
	uint8_t bytes[4096];
	ssize_t got = recv(transport->fd, bytes, sizeof(bytes), 0);

	if (got <= 0)
		return 0;
	g_byte_array_append(received, bytes, (guint)got);
	return (size_t)got;
}

void transport_receive(struct transport *transport, GByteArray *received)
{
	settle();
	if (transport->ring) {
		/* What is read makes room for more, of which the store must hear. */
		while (take_from_ring(transport, received) > 0)
			send_event(transport);
	} else {
		while (take_from_socket(transport, received) > 0)
			settle();
	}
}

void transport_send(struct transport *transport, const void *bytes, size_t len_bytes, GByteArray *received)
{
	const uint8_t *from = bytes;

	while (len_bytes > 0) {
		size_t sent = 0;

		if (transport->ring) {
			sent = put_into_ring(transport, from, len_bytes);
			send_event(transport);
		} else {
			ssize_t n = send(transport->fd, from, len_bytes, MSG_NOSIGNAL);

			g_assert_true(n > 0 || errno == EAGAIN);
			sent = n > 0 ? (size_t)n : 0;
		}
		from += sent;
		len_bytes -= sent;
		transport_receive(transport, received);
	}
}
