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

enum { REQ_PROD, REQ_EVENT, RSP_PROD, RSP_EVENT };

static uint32_t *shared_index(uint8_t *ring, unsigned int index)
{
	return (uint32_t *)(void *)ring + index;
}

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

	the_fake = fake;
	fake_guest_init(&fake->guest, use_uring, "vif", 0);
	make_link(fake, stream);
	fake->env = (struct net_env){ .store = fake->guest.store, .io = fake->guest.io, .max_queues = 4, .warn = on_warn,
				      .warn_opaque = fake, .access = fake->guest.access };
	fake->device = net_device_new(&fake->env, &fake->nic);
	g_assert_nonnull(fake->device);
	fake_recycle(fake);
	return fake;
}

void fake_recycle(struct fake *fake)
{
	fake_guest_recycle(&fake->guest);
	fake->next_port = 1;
	memset(fake->queues, 0, sizeof(fake->queues));
}

void fake_free(struct fake *fake)
{
	net_device_free(fake->device);
	fake_guest_fini(&fake->guest);
	net_link_fini(&fake->nic.link);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		if (fake->host_fd[i] > 0)
			close(fake->host_fd[i]);
	g_free(fake);
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
	g_assert_cmpint(xenstore_remove(fake->guest.store, "/local/domain/1/device/vif/0/event-channel"), >=, 0);
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
	if (fake->guest.ports[port].from_guest_fd)
		g_assert_cmpint(eventfd_write(fake->guest.ports[port].from_guest_fd, 1), ==, 0);
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

/* The host's side */

static void wait_bytes(int fd, void *bytes, size_t len_bytes, int flags)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	ssize_t got;

	while ((got = recv(fd, bytes, len_bytes, flags | MSG_DONTWAIT)) <= 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		g_usleep(50);
	}
	if ((size_t)got < len_bytes)
		wait_bytes(fd, (uint8_t *)bytes + got, len_bytes - (size_t)got, flags);
}

/* One frame, and what a tap was told of it. */
size_t fake_host_receive(struct fake *fake, unsigned int queue, uint8_t *frame, struct virtio_net_hdr *header)
{
	static uint8_t message[sizeof(*header) + 70000];
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	ssize_t got;

	if (fake->nic.link.stream) {
		uint8_t length[4];

		wait_bytes(fake->host_fd[0], length, sizeof(length), 0);
		size_t len_bytes = (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
		g_assert_cmpuint(length[0], ==, 0);
		wait_bytes(fake->host_fd[0], frame, len_bytes, 0);
		memset(header, 0, sizeof(*header));
		return len_bytes;
	}
	while ((got = recv(fake->host_fd[queue], message, sizeof(message), MSG_DONTWAIT)) <= 0) {
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
		g_usleep(50);
	}
	memcpy(header, message, sizeof(*header));
	memcpy(frame, message + sizeof(*header), (size_t)got - sizeof(*header));
	return (size_t)got - sizeof(*header);
}

void fake_host_send(struct fake *fake, unsigned int queue, const uint8_t *frame, size_t len_bytes,
		    const struct virtio_net_hdr *header)
{
	uint8_t length[4] = { 0, (uint8_t)(len_bytes >> 16), (uint8_t)(len_bytes >> 8), (uint8_t)len_bytes };
	struct iovec iov[2] = { { length, sizeof(length) }, { (void *)(uintptr_t)frame, len_bytes } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	ssize_t sent;

	if (!fake->nic.link.stream)
		iov[0] = (struct iovec){ (void *)(uintptr_t)header, sizeof(*header) };
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		sent = sendmsg(fake->host_fd[queue], &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0) {
			g_assert_cmpint(g_get_monotonic_time(), <, until_us);
			g_usleep(50);
			continue;
		}
		for (unsigned int i = 0; i < 2; i++) {
			size_t part = MIN((size_t)sent, iov[i].iov_len);

			iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
}
