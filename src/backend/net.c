// SPDX-License-Identifier: MIT
#include "backend/net.h"

#include <stddef.h>
#include <stdlib.h>

#include <glib.h>

#include "backend/nic.h"
#include "backend/xenbus.h"
#include "inject/inject.h"
#include "vmm/record.h"

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* One use of the rings: from the front end's Connected to its Closed. */
struct attachment {
	struct net_connection connection;
	struct net_device *device;
	struct ring_claims claims;
	bool stopping;
};

struct net_device {
	const struct net_env *env;
	struct nic *nic;
	struct net_target target;
	struct xenbus_device *bus;
	struct attachment *attachment; /* NULL: the guest does not use the interface */
	struct net_counters counters;  /* of former attachments */
	bool was_connected;
};

/* Letting go */

static void free_attachment(struct attachment *attachment)
{
	ring_claims_release(&attachment->claims);
	attachment->device->attachment = NULL;
	free(attachment);
}

static void add_counters(struct net_counters *sum, const struct net_counters *more)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)more;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

static void on_stopped(struct io_task *task)
{
	struct attachment *attachment = CONTAINER(task, struct attachment, connection.stopped_reply);
	struct net_device *device = attachment->device;

	add_counters(&device->counters, &attachment->connection.counters);
	free_attachment(attachment);
	xenbus_device_detached(device->bus);
}

static void on_broken(struct io_task *task)
{
	struct attachment *attachment = CONTAINER(task, struct attachment, connection.broken_reply);

	xenbus_device_fail(attachment->device->bus, attachment->connection.broken);
}

static void detach(void *opaque)
{
	struct attachment *attachment = ((struct net_device *)opaque)->attachment;

	/* Whoever wants it first: the guest, or the end of the domain. */
	if (!attachment->stopping)
		net_connection_stop(&attachment->connection);
	attachment->stopping = true;
}

/* Coming into use */

static bool says(const struct xenbus_device *bus, const char *key)
{
	uint32_t value;

	return xenbus_read_number(bus, key, &value) && value != 0;
}

static void read_features(const struct xenbus_device *bus, struct net_connection *connection)
{
	struct net_features *features = &connection->features;

	connection->sg = says(bus, "feature-sg");
	/* The host's kernel knows one word for both kinds of IP. */
	features->csum = !says(bus, "feature-no-csum-offload") && says(bus, "feature-ipv6-csum-offload");
	features->gso_ipv4 = connection->sg && features->csum && says(bus, "feature-gso-tcpv4");
	features->gso_ipv6 = connection->sg && features->csum && says(bus, "feature-gso-tcpv6");
}

/* folder: "" or "queue-N/". */
static const char *open_ring(struct attachment *attachment, struct slot_ring *ring, const char *folder, const char *name,
			     unsigned int slot_bytes)
{
	g_autofree char *key = g_strconcat(folder, name, NULL);
	const char *why = NULL;
	uint8_t *page = ring_claims_page(&attachment->claims, attachment->device->bus, key, &why);

	if (page)
		slot_ring_init(ring, page, slot_bytes);
	return why;
}

static const char *open_port(struct attachment *attachment, const char *folder, const char *name,
			     const struct backend_port **port)
{
	g_autofree char *key = g_strconcat(folder, name, NULL);
	const char *why = NULL;

	*port = ring_claims_port(&attachment->claims, attachment->device->bus, key, &why);
	return why;
}

/* One event channel for both directions, or one for each. */
static const char *open_ports(struct attachment *attachment, struct net_queue *queue, const char *folder)
{
	g_autofree char *one = g_strconcat(folder, "event-channel", NULL);
	const bool split = !xenbus_has_node(attachment->device->bus, one);
	const struct backend_port *tx, *rx;
	const char *why = open_port(attachment, folder, split ? "event-channel-tx" : "event-channel", &tx);

	if (why)
		return why;
	queue->tx_kick.io.fd = tx->from_guest_fd;
	queue->tx_notify_fd = queue->rx_notify_fd = tx->to_guest_fd;
	queue->rx_kick.io.fd = -1;
	if (!split)
		return NULL;
	why = open_port(attachment, folder, "event-channel-rx", &rx);
	if (why)
		return why;
	queue->rx_kick.io.fd = rx->from_guest_fd;
	queue->rx_notify_fd = rx->to_guest_fd;
	return NULL;
}

static const char *open_queue(struct attachment *attachment, struct net_queue *queue, const char *folder)
{
	const char *why = open_ring(attachment, &queue->tx, folder, "tx-ring-ref", NET_TX_SLOT_BYTES);

	if (!why)
		why = open_ring(attachment, &queue->rx, folder, "rx-ring-ref", sizeof(struct netif_rx_request));
	return why ? why : open_ports(attachment, queue, folder);
}

static unsigned int max_queues(const struct net_device *device)
{
	const struct inject_features features = inject_plan_features(device->env->inject);
	const unsigned int n = MIN(device->env->max_queues, net_link_queues(&device->nic->link));

	return features.queues ? MIN(n, features.queues) : n;
}

static const char *open_queues(struct attachment *attachment)
{
	const struct xenbus_device *bus = attachment->device->bus;
	struct net_connection *connection = &attachment->connection;
	uint32_t n_queues = 1;
	const char *why = NULL;

	if (!says(bus, "request-rx-copy"))
		return "request-rx-copy is not 1: pages are never flipped";
	if (xenbus_has_node(bus, "multi-queue-num-queues") &&
	    (!xenbus_read_number(bus, "multi-queue-num-queues", &n_queues) || n_queues == 0 ||
	     n_queues > max_queues(attachment->device)))
		return "multi-queue-num-queues is not 1 to multi-queue-max-queues";
	read_features(bus, connection);
	connection->n_queues = n_queues;
	for (uint32_t i = 0; i < n_queues && !why; i++) {
		char folder[16] = "";

		if (n_queues > 1)
			g_snprintf(folder, sizeof(folder), "queue-%u/", i);
		why = open_queue(attachment, &connection->queues[i], folder);
	}
	if (!why && !net_link_connect(&attachment->device->nic->link, n_queues, &connection->features))
		why = "the host's interface does not take these queues and features";
	return why;
}

static const char *attach(void *opaque)
{
	struct net_device *device = opaque;
	struct attachment *attachment = calloc(1, sizeof(*attachment));

	if (!attachment)
		return "the host is out of memory";
	attachment->device = device;
	attachment->claims.access = &device->env->access;
	attachment->connection.target = &device->target;
	attachment->connection.broken_reply.run = on_broken;
	attachment->connection.stopped_reply.run = on_stopped;
	device->attachment = attachment;

	const char *why = open_queues(attachment);
	if (why) {
		free_attachment(attachment);
		return why;
	}
	net_connection_start(&attachment->connection);
	if (device->env->record && !device->was_connected)
		record_phase(device->env->record, PHASE_DEVICE_CONNECTED, xenbus_device_name(device->bus));
	device->was_connected = true;
	return NULL;
}

static const struct xenbus_device_ops OPS = { attach, detach };

/* The I/O thread's. */
static void on_ended(void *opaque)
{
	const struct net_device *device = opaque;
	const struct nic *nic = device->nic;

	if (!device->env->warn)
		return;
	g_autofree char *line = g_strdup_printf("network interface %u: %s has ended: %s", nic->number, nic->where,
						nic->link.listen_fd >= 0 ? "waiting for another" :
									   "the guest has no network there any more");
	device->env->warn(device->env->warn_opaque, line);
}

/* What the guest is told of the interface. */
static int write_nodes(struct net_device *device)
{
	const struct nic *nic = device->nic;
	const unsigned int missing = inject_plan_features(device->env->inject).missing;
	const bool has_sg = !(missing & INJECT_NO_SG), has_csum = !(missing & INJECT_NO_CSUM);
	const bool offloads = !nic->link.stream && has_sg && has_csum && !(missing & INJECT_NO_GSO);
	struct xenbus_device *bus = device->bus;
	const struct {
		const char *key;
		unsigned int value;
		bool wanted;
	} numbers[] = {
		{ "feature-rx-copy", 1, true },
		{ "feature-rx-flip", 0, true },
		{ "feature-sg", 1, has_sg },
		{ "feature-gso-tcpv4", 1, offloads },
		{ "feature-gso-tcpv6", 1, offloads },
		{ "feature-no-csum-offload", 1, !has_csum },
		{ "feature-ipv6-csum-offload", 1, has_csum },
		{ "feature-split-event-channels", 1, !(missing & INJECT_NO_SPLIT) },
		{ "multi-queue-max-queues", max_queues(device), true },
		{ "handle", nic->number, true },
	};
	const uint8_t *mac = nic->mac;
	char text[18];

	g_snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	int rc = xenbus_write_guests(bus, "mac", "%s", text);
	if (rc == 0)
		rc = xenbus_write_guests(bus, "handle", "%u", nic->number);
	if (rc == 0)
		rc = xenbus_write_ours(bus, "mac", "%s", text);
	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i].wanted)
			rc = xenbus_write_ours(bus, numbers[i].key, "%u", numbers[i].value);
	return rc;
}

struct net_device *net_device_new(const struct net_env *env, struct nic *nic)
{
	struct net_device *device = g_new0(struct net_device, 1);

	device->env = env;
	device->nic = nic;
	device->target = (struct net_target){ &env->access, &nic->link, env->io, on_ended, device };
	device->bus = xenbus_device_new(env->store, "vif", nic->number, &OPS, device);
	if (device->bus)
		xenbus_device_trace(device->bus, env->access.trace);
	if (!device->bus || write_nodes(device) != 0 || xenbus_device_start(device->bus) != 0) {
		net_device_free(device);
		return NULL;
	}
	return device;
}

void net_device_free(struct net_device *device)
{
	if (!device)
		return;
	if (device->attachment)
		detach(device);
	while (device->attachment)
		io_thread_wait_reply(device->env->io);
	xenbus_device_free(device->bus);
	g_free(device);
}

bool net_device_vanish(struct net_device *device)
{
	if (!device->attachment)
		return false;
	xenbus_device_fail(device->bus, "the back end has vanished (--inject)");
	return true;
}

struct net_counters net_device_counters(const struct net_device *device)
{
	return device->counters;
}
