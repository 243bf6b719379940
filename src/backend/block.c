// SPDX-License-Identifier: MIT
#include "backend/block.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <xen/io/protocols.h>

#include "backend/block_file.h"
#include "backend/nbd_client.h"
#include "backend/xenbus.h"
#include "inject/inject.h"
#include "vmm/record.h"

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static_assert(RING_CLAIMS_PAGES_MAX >= BLOCK_QUEUES_MAX * BLOCK_RING_PAGES_MAX, "a ring-ref would be refused");
static_assert(RING_CLAIMS_PORTS_MAX >= BLOCK_QUEUES_MAX, "an event channel would be refused");

/* One use of the rings: from the front end's Initialised to its Closed. */
struct attachment {
	struct block_connection connection;
	struct block_device *device;
	struct ring_claims claims;
	unsigned int ring_pages; /* of each queue */
	bool stopping;
	bool suspending; /* it is stopping, and the guest is not to know of it */
};

struct block_device {
	const struct block_env *env;
	const struct block_file *file;
	struct block_target target;
	unsigned int max_queues, max_ring_order;
	struct xenbus_device *bus;
	struct io_task resize, resized_reply;
	uint64_t new_n_sectors;
	bool resizing;
	struct io_task eject, ejected_reply;
	bool ejecting; /* until the reply */
	struct attachment *attachment; /* NULL: the guest does not use the disk */
	struct block_counters counters; /* of former attachments */
	bool was_connected;
	bool suspended; /* the guest's rings are as if in use, and there is no attachment */
};

/* Letting go */

static void free_attachment(struct attachment *attachment)
{
	ring_claims_release(&attachment->claims);
	attachment->device->attachment = NULL;
	free(attachment);
}

static void add_counters(struct block_counters *sum, const struct block_counters *more)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)more;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

static void on_stopped(struct io_task *task)
{
	struct attachment *attachment = CONTAINER(task, struct attachment, connection.stopped_reply);
	struct block_device *device = attachment->device;
	const bool suspending = attachment->suspending;

	attachment->suspending = false;
	if (attachment->connection.kept) {
		/* Not to be suspended; or the guest broke the protocol meanwhile, and nobody waits for what was kept any more. */
		attachment->stopping = !suspending;
		block_connection_start(&attachment->connection);
		if (suspending)
			block_connection_retry(&attachment->connection);
		else
			block_connection_stop(&attachment->connection);
		return;
	}
	add_counters(&device->counters, &attachment->connection.counters);
	free_attachment(attachment);
	if (suspending)
		device->suspended = true;
	else
		xenbus_device_detached(device->bus);
}

static void on_broken(struct io_task *task)
{
	struct attachment *attachment = CONTAINER(task, struct attachment, connection.broken_reply);

	xenbus_device_fail(attachment->device->bus, attachment->connection.broken);
}

static void on_no_room(struct io_task *task)
{
	const struct attachment *attachment = CONTAINER(task, struct attachment, connection.no_room_reply);
	const struct block_device *device = attachment->device;

	if (!device->env->no_room || attachment->stopping)
		return;
	g_autofree char *why = g_strdup_printf("disk %s: %s: no room for what the guest writes", device->file->vdev,
					       device->file->path);
	device->env->no_room(device->env->end_opaque, why);
}

static void on_retried(struct io_task *task)
{
	CONTAINER(task, struct attachment, connection.retried_reply)->connection.retrying = false;
}

static char *describe_failure(const struct block_device *device, enum io_kind kind, int error)
{
	static const char *const verbs[] = { "read", "written", "flushed", "discarded" };

	return g_strdup_printf("disk %s: %s could not be %s: %s", device->file->vdev, device->file->path, verbs[kind],
			       device->file->remote && error == ENOTCONN ? "its server is gone" : g_strerror(error));
}

static void on_server_gone(struct io_task *task)
{
	const struct block_device *device = CONTAINER(task, struct attachment, connection.gone_reply)->device;
	g_autofree char *why = g_strdup_printf("disk %s: %s: its server is gone, and so is the disk", device->file->vdev,
					       device->file->path);

	if (device->env->warn && !device->file->stop_on_error)
		device->env->warn(device->env->end_opaque, why);
}

static void on_first_failure(struct io_task *task)
{
	const struct attachment *attachment = CONTAINER(task, struct attachment, connection.failed_reply);
	const struct block_device *device = attachment->device;
	g_autofree char *why = describe_failure(device, attachment->connection.failed_kind, attachment->connection.failure);

	if (device->env->warn && !device->file->stop_on_error)
		device->env->warn(device->env->end_opaque, why);
}

static void detach(void *opaque)
{
	struct attachment *attachment = ((struct block_device *)opaque)->attachment;

	/* Whoever wants it first: the guest, or the end of the domain. */
	if (!attachment->stopping)
		block_connection_stop(&attachment->connection);
	attachment->stopping = true;
	attachment->suspending = false;
}

/* Coming into use */

static const char *read_layout(const struct block_device *device, const struct block_layout **layout)
{
	char protocol[32];

	*layout = &BLOCK_LAYOUT_64;
	/* Without the node it is the native one: of a back end of 64 bits. */
	if (!xenbus_has_node(device->bus, "protocol"))
		return NULL;
	if (!xenbus_read_text(device->bus, "protocol", protocol, sizeof(protocol)))
		return "protocol is not a word";
	if (strcmp(protocol, XEN_IO_PROTO_ABI_X86_32) == 0)
		*layout = &BLOCK_LAYOUT_32;
	else if (strcmp(protocol, XEN_IO_PROTO_ABI_X86_64) != 0)
		return "protocol is neither x86_64-abi nor x86_32-abi";
	return NULL;
}

/* folder: "" or "queue-N/". */
static const char *open_queue(struct attachment *attachment, unsigned int number, const char *folder,
			      const struct block_layout *layout, bool numbered_refs)
{
	const struct xenbus_device *bus = attachment->device->bus;
	struct block_queue *queue = &attachment->connection.queues[number];
	const char *why;
	char key[48];

	queue->ring.layout = layout;
	for (unsigned int i = 0; i < attachment->ring_pages; i++) {
		if (numbered_refs)
			g_snprintf(key, sizeof(key), "%sring-ref%u", folder, i);
		else
			g_snprintf(key, sizeof(key), "%sring-ref", folder);
		queue->ring.pages[i] = ring_claims_page(&attachment->claims, bus, key, &why);
		if (!queue->ring.pages[i])
			return why;
	}
	block_ring_init(&queue->ring, attachment->ring_pages);
	g_snprintf(key, sizeof(key), "%sevent-channel", folder);
	const struct backend_port *port = ring_claims_port(&attachment->claims, bus, key, &why);
	if (!port)
		return why;
	queue->kick.fd = port->from_guest_fd;
	queue->notify_fd = port->to_guest_fd;
	return NULL;
}

static const char *open_queues(struct attachment *attachment)
{
	struct xenbus_device *bus = attachment->device->bus;
	struct block_connection *connection = &attachment->connection;
	const struct block_layout *layout;
	uint32_t n_queues = 1, order = 0;
	bool has_order = xenbus_has_node(bus, "ring-page-order"), has_queues = xenbus_has_node(bus, "multi-queue-num-queues");
	const char *why = read_layout(attachment->device, &layout);

	if (why)
		return why;
	if (has_order && (!xenbus_read_number(bus, "ring-page-order", &order) || order > attachment->device->max_ring_order))
		return "ring-page-order is more than max-ring-page-order";
	if (has_queues && (!xenbus_read_number(bus, "multi-queue-num-queues", &n_queues) || n_queues == 0 ||
			   n_queues > attachment->device->max_queues))
		return "multi-queue-num-queues is not 1 to multi-queue-max-queues";
	attachment->ring_pages = 1u << order;
	for (uint32_t i = 0; i < n_queues && !why; i++) {
		char folder[16] = "";

		if (n_queues > 1)
			g_snprintf(folder, sizeof(folder), "queue-%u/", i);
		why = open_queue(attachment, i, folder, layout, has_order && order > 0);
	}
	connection->n_queues = n_queues;
	return why;
}

static const char *attach(void *opaque)
{
	struct block_device *device = opaque;
	struct attachment *attachment = calloc(1, sizeof(*attachment));

	if (!attachment)
		return "the host is out of memory";
	attachment->device = device;
	attachment->claims.access = &device->env->access;
	attachment->connection.target = &device->target;
	attachment->connection.broken_reply.run = on_broken;
	attachment->connection.stopped_reply.run = on_stopped;
	attachment->connection.no_room_reply.run = on_no_room;
	attachment->connection.retried_reply.run = on_retried;
	attachment->connection.failed_reply.run = on_first_failure;
	attachment->connection.gone_reply.run = on_server_gone;
	device->attachment = attachment;

	const char *why = open_queues(attachment);
	if (why) {
		free_attachment(attachment);
		return why;
	}
	block_connection_start(&attachment->connection);
	if (device->env->record && !device->was_connected)
		record_phase(device->env->record, PHASE_DEVICE_CONNECTED, xenbus_device_name(device->bus));
	device->was_connected = true;
	return NULL;
}

static void gone(void *opaque)
{
	struct block_device *device = opaque;

	device->env->gone(device->env->end_opaque, device);
}

static const struct xenbus_device_ops OPS = { attach, detach, gone };

/* Another size: first the data path knows it, then the guest. */

static void resize(struct io_task *task)
{
	struct block_device *device = CONTAINER(task, struct block_device, resize);

	device->target.limits.n_sectors = device->new_n_sectors;
	io_thread_reply(device->env->io, &device->resized_reply);
}

static void on_resized(struct io_task *task)
{
	struct block_device *device = CONTAINER(task, struct block_device, resized_reply);

	device->resizing = false;
	if (xenbus_write_ours(device->bus, "sectors", "%" G_GUINT64_FORMAT, device->new_n_sectors) == 0)
		(void)xenbus_device_announce(device->bus);
}

/* As a medium that is pulled out. */

static void eject(struct io_task *task)
{
	struct block_device *device = CONTAINER(task, struct block_device, eject);

	device->target.ejected = true;
	io_thread_reply(device->env->io, &device->ejected_reply);
}

static void on_ejected(struct io_task *task)
{
	struct block_device *device = CONTAINER(task, struct block_device, ejected_reply);

	device->ejecting = false;
	if (device->env->ejected)
		device->env->ejected(device->env->end_opaque, device);
}

/* The I/O thread's. */
static void on_failed(void *opaque, enum io_kind kind, int error)
{
	const struct block_device *device = opaque;
	const struct block_env *env = device->env;

	if (!device->file->stop_on_error || !env->end)
		return;
	g_autofree char *what = describe_failure(device, kind, error);
	g_autofree char *why = g_strconcat(what, " (on-error=stop)", NULL);
	env->end(env->end_opaque, why);
}

/* What the guest is told of the disk. Numbers are of 512-byte sectors whatever the sector size. */
static int write_nodes(struct block_device *device)
{
	const struct block_file *file = device->file;
	struct xenbus_device *bus = device->bus;
	const struct block_limits *limits = &device->target.limits;
	const struct inject_features features = inject_plan_features(device->env->inject);
	const struct {
		const char *key;
		uint64_t value;
		bool wanted;
	} numbers[] = {
		{ "sectors", limits->n_sectors, true },
		{ "sector-size", BLOCK_SECTOR_BYTES, true },
		{ "physical-sector-size", file->physical_sector_bytes, true },
		{ "info", (limits->read_only ? VDISK_READONLY : 0u) | (file->cdrom ? VDISK_CDROM : 0u), true },
		{ "feature-flush-cache", 1, !limits->read_only && !(features.missing & INJECT_NO_FLUSH) },
		{ "feature-discard", 1, limits->discard },
		{ "discard-granularity", file->discard_granularity_bytes, limits->discard },
		{ "discard-alignment", 0, limits->discard },
		{ "discard-secure", 0, limits->discard },
		{ "feature-max-indirect-segments", file->segments_max ? file->segments_max : BLOCK_SEGMENTS_MAX,
		  !(features.missing & INJECT_NO_INDIRECT) },
		{ "max-ring-page-order", device->max_ring_order, true },
		{ "multi-queue-max-queues", device->max_queues, true },
	};
	int rc = xenbus_write_guests(bus, "virtual-device", "%u", file->number);

	if (rc == 0)
		rc = xenbus_write_guests(bus, "device-type", "%s", file->cdrom ? "cdrom" : "disk");
	if (rc == 0)
		rc = xenbus_write_ours(bus, "dev", "%s", file->vdev);
	if (rc == 0)
		rc = xenbus_write_ours(bus, "mode", "%s", limits->read_only ? "r" : "w");
	for (size_t i = 0; rc == 0 && i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i].wanted)
			rc = xenbus_write_ours(bus, numbers[i].key, "%" G_GUINT64_FORMAT, numbers[i].value);
	return rc;
}

static void set_faults(struct block_device *device)
{
	static const struct inject_abilities abilities = { .fail = true, .fail_effect = INJECT_REQUESTS_FAILED,
							   .delay = true, .delay_effect = INJECT_REQUESTS_DELAYED };
	const struct block_env *env = device->env;
	const struct inject_features features = inject_plan_features(env->inject);
	g_autofree char *name = g_strdup_printf("vbd/%u", device->file->number);

	device->max_queues = features.queues ? MIN(env->max_queues, features.queues) : env->max_queues;
	while (device->max_ring_order < BLOCK_RING_ORDER_MAX &&
	       (!features.ring_pages || 2u << device->max_ring_order <= features.ring_pages))
		device->max_ring_order++;
	if (features.missing & INJECT_NO_DISCARD)
		device->target.limits.discard = false;
	if (env->inject)
		device->target.inject = inject_point_new(env->inject, INJECT_DISK, name, device->file->number, &abilities);
}

static struct block_device *make_device(const struct block_env *env, const struct block_file *file)
{
	struct block_device *device = g_new0(struct block_device, 1);

	device->env = env;
	device->file = file;
	device->target = (struct block_target){
		.fd = file->fd,
		.remote = file->remote ? nbd_client_remote(file->remote) : NULL,
		.at_once = file->at_once,
		.ignore_flush = file->ignore_flush,
		.keep_for_room = file->pause_without_room,
		.overlay = file->overlay,
		.overlay_fd = file->overlay_fd,
		.overlay_at_once = file->overlay_at_once,
		.limits = { .n_sectors = file->n_sectors, .read_only = file->read_only, .discard = file->discard },
		.access = &env->access,
		.io = env->io,
		.failed = on_failed,
		.opaque = device,
	};
	set_faults(device);
	device->resize.run = resize;
	device->resized_reply.run = on_resized;
	device->eject.run = eject;
	device->ejected_reply.run = on_ejected;
	return device;
}

struct block_device *block_device_new(const struct block_env *env, const struct block_file *file)
{
	struct block_device *device = make_device(env, file);

	device->bus = xenbus_device_new(env->store, "vbd", file->number, &OPS, device);
	if (device->bus)
		xenbus_device_trace(device->bus, env->access.trace);
	if (!device->bus || write_nodes(device) != 0 || xenbus_device_start(device->bus) != 0) {
		block_device_free(device);
		return NULL;
	}
	return device;
}

void block_device_free(struct block_device *device)
{
	if (!device)
		return;
	if (device->attachment)
		detach(device);
	while (device->attachment || device->resizing || device->ejecting)
		io_thread_wait_reply(device->env->io);
	xenbus_device_free(device->bus);
	inject_point_free(device->target.inject);
	g_free(device);
}

bool block_device_suspend(struct block_device *device)
{
	if (device->ejecting)
		return false;
	if (device->attachment && !device->attachment->stopping) {
		device->attachment->stopping = device->attachment->suspending = true;
		block_connection_suspend(&device->attachment->connection);
	}
	while (device->resizing || (device->attachment && device->attachment->stopping))
		io_thread_wait_reply(device->env->io);
	return !device->attachment;
}

void block_device_resume(struct block_device *device)
{
	if (!device->suspended)
		return;
	device->suspended = false;
	if (!xenbus_device_attach_again(device->bus))
		return;
	/* Once more than needed, rather than once too few. */
	for (unsigned int i = 0; i < device->attachment->claims.n_ports; i++)
		backend_port_notify(&device->attachment->claims.ports[i]);
}

struct xenbus_saved block_device_save(const struct block_device *device)
{
	return xenbus_device_save(device->bus);
}

struct block_device *block_device_restore(const struct block_env *env, const struct block_file *file,
					  const struct xenbus_saved *saved)
{
	struct block_device *device = make_device(env, file);

	device->bus = xenbus_device_restore(env->store, "vbd", file->number, &OPS, device, saved);
	if (!device->bus) {
		block_device_free(device);
		return NULL;
	}
	xenbus_device_trace(device->bus, env->access.trace);
	device->was_connected = device->suspended = saved->attached;
	return device;
}

void block_device_leave(struct block_device *device)
{
	xenbus_device_leave(device->bus);
}

void block_device_eject(struct block_device *device)
{
	if (!device->ejecting) {
		device->ejecting = true;
		io_thread_post(device->env->io, &device->eject);
	}
	/* Last: one that the guest does not use is gone by that. */
	block_device_leave(device);
}

bool block_device_resize(struct block_device *device, uint64_t n_sectors)
{
	if (device->resizing)
		return false;
	device->resizing = true;
	device->new_n_sectors = n_sectors;
	io_thread_post(device->env->io, &device->resize);
	return true;
}

bool block_device_is_connected(const struct block_device *device)
{
	return xenbus_device_is_connected(device->bus);
}

void block_device_retry(struct block_device *device)
{
	if (device->attachment && !device->attachment->stopping)
		block_connection_retry(&device->attachment->connection);
}

struct block_counters block_device_counters(const struct block_device *device)
{
	struct block_counters counters = device->counters;

	if (device->attachment)
		add_counters(&counters, &device->attachment->connection.counters);
	return counters;
}
