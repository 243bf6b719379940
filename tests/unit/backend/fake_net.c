// SPDX-License-Identifier: MIT
#include "backend/fake_net.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "xen/xenstore/xenstore.h"

#define FRONT "/local/domain/1/device/vif/0/"
#define BACK  "/local/domain/0/backend/vif/1/0/"

enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

static uint32_t *shared_index(uint8_t *ring, unsigned int index)
{
	return (uint32_t *)(void *)ring + index;
}

static bool bind_port(void *opaque, uint32_t number, struct backend_port *port)
{
	struct fake *fake = opaque;

	if (number >= FAKE_PORTS || !fake->ports[number].waits)
		return false;
	struct fake_port *own = &fake->ports[number];
	own->waits = false;
	own->from_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	own->to_guest_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fake->n_bound++;
	*port = (struct backend_port){ (const void *)own, own->from_guest_fd, own->to_guest_fd };
	return true;
}

static void unbind_port(void *opaque, struct backend_port *port)
{
	struct fake *fake = opaque;
	struct fake_port *own = (struct fake_port *)(uintptr_t)port->backend;

	close(own->from_guest_fd);
	close(own->to_guest_fd);
	*own = (struct fake_port){ .waits = true };
	fake->n_bound--;
}

static const struct backend_port_ops PORTS = { bind_port, unbind_port };

static void on_warn(void *opaque, const char *line)
{
	struct fake *fake = opaque;

	g_assert_nonnull(strstr(line, "network interface 0"));
	__atomic_fetch_add(&fake->n_warnings, 1, __ATOMIC_SEQ_CST);
}

/* The link is the first member of nothing: the test has one fake at a time. */
static struct fake *the_fake;

static bool configure(struct net_link *link, unsigned int n_queues, const struct net_features *features)
{
	(void)link;
	g_assert_cmpuint(n_queues, <=, FAKE_QUEUES);
	the_fake->features = *features;
	return true;
}

static void make_link(struct fake *fake, bool stream)
{
	int fds[FAKE_QUEUES], pair[2];

	for (unsigned int i = 0; i < (stream ? 1 : FAKE_QUEUES); i++) {
		g_assert_cmpint(socketpair(AF_UNIX, (stream ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
				==, 0);
		fds[i] = pair[0];
		fake->host_fd[i] = pair[1];
	}
	if (stream)
		g_assert_true(net_link_init_stream(&fake->nic.link, fds[0], -1, false));
	else
		net_link_init_tap(&fake->nic.link, fds, FAKE_QUEUES);
	fake->nic.link.configure = configure;
	fake->nic.where = (char *)"test";
	memcpy(fake->nic.mac, "\x00\x16\x3e\x01\x02\x03", 6);
}

struct fake *fake_new(bool use_uring, bool stream)
{
	struct fake *fake = g_new0(struct fake, 1);
	struct layout layout;
	GError *error = NULL;

	the_fake = fake;
	g_assert_true(layout_init(&layout, 64 << 20, LAYOUT_LOW_RAM_DEFAULT, &error));
	fake->memory = guest_memory_new(&layout, &error);
	fake->store = xenstore_new(NULL);
	fake->grant_frames = g_malloc0(FAKE_FRAMES * FAKE_PAGE);
	g_assert_true(grant_table_init(&fake->grants, fake->grant_frames, NULL, FAKE_FRAMES, 1));
	g_assert_true(grant_table_grow(&fake->grants, FAKE_FRAMES));
	pthread_mutex_init(&fake->lock, NULL);
	fake->io = io_thread_new(use_uring, &error);
	g_assert_no_error(error);
	for (unsigned int i = 1; i < FAKE_PORTS; i++)
		fake->ports[i].waits = true;
	make_link(fake, stream);
	fake->env = (struct net_env){ .store = fake->store, .io = fake->io, .max_queues = 4, .warn = on_warn, .warn_opaque = fake,
				      .access = { fake->memory, &fake->grants, &fake->lock, &PORTS, fake } };
	fake->device = net_device_new(&fake->env, &fake->nic);
	g_assert_nonnull(fake->device);
	fake_recycle(fake);
	return fake;
}

void fake_recycle(struct fake *fake)
{
	fake->next_gfn = 256;
	fake->next_ref = 8;
	fake->next_port = 1;
	memset(fake->queues, 0, sizeof(fake->queues));
}

void fake_free(struct fake *fake)
{
	net_device_free(fake->device);
	g_assert_cmpuint(fake->n_bound, ==, 0);
	for (uint32_t ref = 0; ref < FAKE_ENTRIES; ref++)
		g_assert_cmpuint(fake_grant_flags(fake, ref) & (GTF_reading | GTF_writing), ==, 0);
	io_thread_free(fake->io);
	net_link_fini(&fake->nic.link);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		if (fake->host_fd[i] > 0)
			close(fake->host_fd[i]);
	grant_table_fini(&fake->grants);
	g_free(fake->grant_frames);
	xenstore_free(fake->store);
	guest_memory_free(fake->memory);
	g_free(fake);
}

uint8_t *fake_page(struct fake *fake, uint32_t *gfn)
{
	*gfn = fake->next_gfn++;
	return guest_memory_span(fake->memory, (uint64_t)*gfn * FAKE_PAGE, FAKE_PAGE);
}

uint32_t fake_grant(struct fake *fake, uint32_t gfn, uint16_t flags)
{
	uint32_t ref = fake->next_ref++;
	grant_entry_v1_t *entry = (grant_entry_v1_t *)fake->grant_frames + ref;

	g_assert_cmpuint(ref, <, FAKE_ENTRIES);
	entry->frame = gfn;
	entry->domid = 0;
	__atomic_store_n(&entry->flags, flags, __ATOMIC_SEQ_CST);
	return ref;
}

uint8_t *fake_granted_page(struct fake *fake, uint32_t *ref)
{
	uint32_t gfn;
	uint8_t *page = fake_page(fake, &gfn);

	*ref = fake_grant(fake, gfn, GTF_permit_access);
	return page;
}

uint16_t fake_grant_flags(const struct fake *fake, uint32_t ref)
{
	return __atomic_load_n(&((grant_entry_v1_t *)fake->grant_frames + ref)->flags, __ATOMIC_SEQ_CST);
}

void fake_write(struct fake *fake, const char *key, const char *format, ...)
{
	g_autofree char *path = g_strconcat(FRONT, key, NULL);
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *value = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_assert_cmpint(xenstore_write(fake->store, path, value, strlen(value)), ==, 0);
}

void fake_set_state(struct fake *fake, int state)
{
	fake_write(fake, "state", "%d", state);
}

char *fake_back_node(const struct fake *fake, const char *key)
{
	g_autofree char *path = g_strconcat(BACK, key, NULL);
	size_t len_bytes;
	void *value;

	if (xenstore_read(fake->store, path, &value, &len_bytes) != 0)
		return NULL;
	char *copy = g_strdup(value);
	free(value);
	return copy;
}

int fake_back_state(const struct fake *fake)
{
	g_autofree char *text = fake_back_node(fake, "state");

	return text ? atoi(text) : 0;
}

void fake_wait_state(struct fake *fake, int state)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

	while (fake_back_state(fake) != state) {
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(200);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
}

void fake_run_for(unsigned int ms)
{
	gint64 until_us = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;

	while (g_get_monotonic_time() < until_us)
		if (!g_main_context_iteration(NULL, FALSE))
			g_usleep(200);
}

static uint8_t *make_ring(struct fake *fake, uint32_t *ref)
{
	uint8_t *page = fake_granted_page(fake, ref);

	memset(page, 0, FAKE_PAGE);
	*shared_index(page, REQ_EVENT) = *shared_index(page, RSP_EVENT) = 1;
	return page;
}

static void publish_queue(struct fake *fake, struct fake_queue *queue, const char *folder, bool split)
{
	g_autofree char *tx_key = g_strconcat(folder, "tx-ring-ref", NULL), *rx_key = g_strconcat(folder, "rx-ring-ref", NULL),
			*tx_port = g_strconcat(folder, split ? "event-channel-tx" : "event-channel", NULL),
			*rx_port = g_strconcat(folder, "event-channel-rx", NULL);

	*queue = (struct fake_queue){ 0 };
	queue->tx = make_ring(fake, &queue->tx_ref);
	queue->rx = make_ring(fake, &queue->rx_ref);
	queue->tx_port = queue->rx_port = fake->next_port++;
	fake_write(fake, tx_key, "%u", queue->tx_ref);
	fake_write(fake, rx_key, "%u", queue->rx_ref);
	fake_write(fake, tx_port, "%u", queue->tx_port);
	if (!split)
		return;
	queue->rx_port = fake->next_port++;
	fake_write(fake, rx_port, "%u", queue->rx_port);
}

void fake_publish(struct fake *fake, unsigned int n_queues, bool split, bool offloads)
{
	static const char *const features[] = { "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload" };

	fake->n_queues = n_queues;
	for (size_t i = 0; i < G_N_ELEMENTS(features); i++)
		fake_write(fake, features[i], "%d", offloads);
	fake_write(fake, "request-rx-copy", "1");
	fake_write(fake, "feature-rx-notify", "1");
	fake_write(fake, "multi-queue-num-queues", "%u", n_queues);
	for (unsigned int i = 0; i < n_queues; i++) {
		g_autofree char *folder = n_queues > 1 ? g_strdup_printf("queue-%u/", i) : g_strdup("");

		publish_queue(fake, &fake->queues[i], folder, split);
	}
}

void fake_connect(struct fake *fake, unsigned int n_queues, bool split, bool offloads)
{
	fake_publish(fake, n_queues, split, offloads);
	fake_set_state(fake, XenbusStateConnected);
	fake_wait_state(fake, XenbusStateConnected);
}

void fake_disconnect(struct fake *fake)
{
	fake_set_state(fake, XenbusStateClosing);
	fake_wait_state(fake, XenbusStateClosing);
	fake_set_state(fake, XenbusStateClosed);
	fake_wait_state(fake, XenbusStateClosed);
	g_assert_cmpint(xenstore_remove(fake->store, FRONT "event-channel"), >=, 0);
	fake_set_state(fake, XenbusStateInitialising);
	fake_wait_state(fake, XenbusStateInitWait);
}

static void *tx_slot(struct fake_queue *queue, uint32_t index)
{
	return queue->tx + 64 + (size_t)(index % FAKE_SLOTS) * sizeof(struct netif_tx_request);
}

static void *rx_slot(struct fake_queue *queue, uint32_t index)
{
	return queue->rx + 64 + (size_t)(index % FAKE_SLOTS) * sizeof(struct netif_rx_request);
}

void fake_put_request(struct fake_queue *queue, uint32_t ref, uint16_t offset, uint16_t flags, uint16_t id, uint16_t size)
{
	const struct netif_tx_request request = { .gref = ref, .offset = offset, .flags = flags, .id = id, .size = size };

	memcpy(tx_slot(queue, queue->tx_produced++), &request, sizeof(request));
}

void fake_put_extra(struct fake_queue *queue, uint8_t type, uint8_t flags, uint8_t gso_type, uint16_t gso_size)
{
	struct netif_extra_info extra = { .type = type, .flags = flags };

	extra.u.gso.type = gso_type;
	extra.u.gso.size = gso_size;
	memcpy(tx_slot(queue, queue->tx_produced++), &extra, sizeof(extra));
}

static void kick_port(struct fake *fake, uint32_t port)
{
	if (fake->ports[port].from_guest_fd)
		g_assert_cmpint(eventfd_write(fake->ports[port].from_guest_fd, 1), ==, 0);
}

void fake_kick(struct fake *fake, struct fake_queue *queue)
{
	__atomic_store_n(shared_index(queue->tx, REQ_PROD), queue->tx_produced, __ATOMIC_SEQ_CST);
	kick_port(fake, queue->tx_port);
}

static void wait_response(uint8_t *ring, uint32_t consumed)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

	while (__atomic_load_n(shared_index(ring, RSP_PROD), __ATOMIC_SEQ_CST) == consumed) {
		g_usleep(50);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
}

int16_t fake_take(struct fake_queue *queue, uint16_t *id)
{
	struct netif_tx_response response;

	wait_response(queue->tx, queue->tx_consumed);
	memcpy(&response, tx_slot(queue, queue->tx_consumed++), sizeof(response));
	__atomic_store_n(shared_index(queue->tx, RSP_EVENT), queue->tx_consumed + 1, __ATOMIC_SEQ_CST);
	if (id)
		*id = response.id;
	return response.status;
}

void fake_post_ref(struct fake *fake, struct fake_queue *queue, uint32_t ref)
{
	const struct netif_rx_request request = { .id = (uint16_t)(queue->rx_produced % FAKE_SLOTS), .gref = ref };

	memcpy(rx_slot(queue, queue->rx_produced++), &request, sizeof(request));
	__atomic_store_n(shared_index(queue->rx, REQ_PROD), queue->rx_produced, __ATOMIC_SEQ_CST);
	kick_port(fake, queue->rx_port);
}

void fake_post(struct fake *fake, struct fake_queue *queue, unsigned int n)
{
	while (n-- > 0) {
		const unsigned int position = queue->rx_produced % FAKE_SLOTS;

		if (!queue->posted[position])
			queue->posted[position] = fake_granted_page(fake, &queue->posted_ref[position]);
		memset(queue->posted[position], 0xa5, FAKE_PAGE);
		fake_post_ref(fake, queue, queue->posted_ref[position]);
	}
}

int fake_receive(struct fake_queue *queue, uint8_t *frame, uint16_t *flags, uint8_t *gso_type, uint16_t *gso_size)
{
	struct netif_rx_response response = { .flags = NETRXF_more_data };
	struct netif_extra_info extra;
	int len_bytes = 0;

	*gso_type = 0;
	for (bool first = true; response.flags & NETRXF_more_data; first = false) {
		unsigned int position = queue->rx_consumed % FAKE_SLOTS;

		wait_response(queue->rx, queue->rx_consumed);
		memcpy(&response, rx_slot(queue, queue->rx_consumed++), sizeof(response));
		g_assert_cmpuint(response.id, ==, position);
		if (response.status < 0)
			return response.status;
		g_assert_cmpuint(response.offset + (unsigned int)response.status, <=, FAKE_PAGE);
		memcpy(frame + len_bytes, queue->posted[position] + response.offset, (size_t)response.status);
		len_bytes += response.status;
		if (first)
			*flags = response.flags;
		if (first && response.flags & NETRXF_extra_info) {
			wait_response(queue->rx, queue->rx_consumed);
			memcpy(&extra, rx_slot(queue, queue->rx_consumed++), sizeof(extra));
			g_assert_cmpuint(extra.type, ==, XEN_NETIF_EXTRA_TYPE_GSO);
			*gso_type = extra.u.gso.type;
			*gso_size = extra.u.gso.size;
		}
	}
	__atomic_store_n(shared_index(queue->rx, RSP_EVENT), queue->rx_consumed + 1, __ATOMIC_SEQ_CST);
	return len_bytes;
}
