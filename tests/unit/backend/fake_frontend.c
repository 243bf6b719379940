// SPDX-License-Identifier: MIT
#include "backend/fake_frontend.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "config/guest_config.h"
#include "xen/xenstore/xenstore.h"

#define FRONT "/local/domain/1/device/vbd/51712/"
#define BACK  "/local/domain/0/backend/vbd/1/51712/"

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

static void on_end(void *opaque, const char *why)
{
	struct fake *fake = opaque;

	pthread_mutex_lock(&fake->lock);
	if (!fake->ended)
		fake->ended = g_strdup(why);
	pthread_mutex_unlock(&fake->lock);
}

static void on_gone(void *opaque, struct block_device *device)
{
	struct fake *fake = opaque;

	g_assert_true(device == fake->device);
	block_device_free(device);
	fake->device = NULL;
}

static void on_no_room(void *opaque, const char *why)
{
	struct fake *fake = opaque;

	g_free(fake->no_room);
	fake->no_room = g_strdup(why);
}

static void make_disk(struct fake *fake)
{
	int fd = g_file_open_tmp("dom1-disk-XXXXXX", &fake->path, NULL);
	uint8_t sector[BLOCK_SECTOR_BYTES];

	g_assert_cmpint(fd, >=, 0);
	for (unsigned int i = 0; i < FAKE_DISK_SECTORS; i++) {
		memset(sector, (int)(i * 7 & 0xff), sizeof(sector));
		g_assert_cmpint(write(fd, sector, sizeof(sector)), ==, sizeof(sector));
	}
	close(fd);
}

/* As dom1 disk attach and the machine do it. */
static void adopt(struct fake *fake, const struct disk_config *disk)
{
	struct block_file opened = fake->file;
	int fds[] = { fcntl(opened.fd, F_DUPFD_CLOEXEC, 0), opened.overlay_fd < 0 ? -1 : fcntl(opened.overlay_fd, F_DUPFD_CLOEXEC, 0) };
	GError *error = NULL;

	g_assert_true(block_file_adopt(&fake->file, disk, fds, fds[1] >= 0 ? 2 : 1, &error));
	g_assert_no_error(error);
	g_assert_cmpint(fds[0], ==, -1);
	g_assert_cmpint(fds[1], ==, -1);
	block_file_close(&opened);
}

static struct fake *make(bool use_uring, const struct disk_config *words, bool is_adopted)
{
	struct fake *fake = g_new0(struct fake, 1);
	struct layout layout;
	GError *error = NULL;

	g_assert_true(layout_init(&layout, 64 << 20, LAYOUT_LOW_RAM_DEFAULT, &error));
	fake->memory = guest_memory_new(&layout, &error);
	fake->store = xenstore_new(NULL);
	fake->grant_frames = g_malloc0(4 * FAKE_PAGE);
	g_assert_true(grant_table_init(&fake->grants, fake->grant_frames, NULL, 4, 1));
	g_assert_true(grant_table_grow(&fake->grants, 4));
	pthread_mutex_init(&fake->lock, NULL);
	fake->io = io_thread_new(use_uring, &error);
	g_assert_no_error(error);
	for (unsigned int i = 1; i < FAKE_PORTS; i++)
		fake->ports[i].waits = true;
	make_disk(fake);

	struct disk_config disk = *words;
	disk.target = fake->path;
	disk.vdev = (char *)"xvda";
	if (!disk.on_error)
		disk.on_error = DISK_ON_ERROR_STOP;
	g_assert_true(block_file_open(&fake->file, &disk, &error));
	g_assert_no_error(error);
	if (is_adopted)
		adopt(fake, &disk);
	/* /tmp may be memory: then io_uring would have nothing to do. */
	fake->file.at_once = !use_uring && fake->file.at_once;
	fake->file.overlay_at_once = !use_uring && fake->file.overlay_at_once;
	fake->env = (struct block_env){ .store = fake->store, .io = fake->io,
					.access = { fake->memory, &fake->grants, &fake->lock, &PORTS, fake }, .max_queues = 4, .end = on_end, .gone = on_gone, .no_room = on_no_room, .end_opaque = fake };
	fake->device = block_device_new(&fake->env, &fake->file);
	g_assert_nonnull(fake->device);
	fake->next_gfn = 256;
	fake->next_ref = 8;
	fake->layout = &BLOCK_LAYOUT_64;
	return fake;
}

struct fake *fake_new(bool use_uring, bool read_only)
{
	return make(use_uring, &(struct disk_config){ .readonly = read_only }, false);
}

struct fake *fake_new_patient(bool use_uring)
{
	return make(use_uring, &(struct disk_config){ .on_error = DISK_ON_ERROR_ENOSPC_PAUSE }, false);
}

struct fake *fake_new_snapshot(bool use_uring)
{
	return make(use_uring, &(struct disk_config){ .snapshot = TRUE }, false);
}

struct fake *fake_new_adopted(bool use_uring)
{
	return make(use_uring, &(struct disk_config){ .snapshot = TRUE }, true);
}

void fake_free(struct fake *fake)
{
	block_device_free(fake->device);
	g_assert_cmpuint(fake->n_bound, ==, 0);
	for (uint32_t ref = 0; ref < 4 * 512; ref++)
		g_assert_cmpuint(fake_grant_flags(fake, ref) & (GTF_reading | GTF_writing), ==, 0);
	io_thread_free(fake->io);
	block_file_close(&fake->file);
	unlink(fake->path);
	g_free(fake->path);
	g_free(fake->ended);
	g_free(fake->no_room);
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

	g_assert_cmpuint(ref, <, 4 * 512);
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

void fake_make_ring(struct fake *fake, unsigned int order)
{
	struct block_ring ring = { .layout = fake->layout };

	fake->ring_pages = 1u << order;
	for (unsigned int i = 0; i < fake->ring_pages; i++) {
		/* Not side by side: slots that cross a page would hide a mistake. */
		uint32_t gfn = fake->next_gfn + 2 * (fake->ring_pages - i);

		fake->ring[i] = guest_memory_span(fake->memory, (uint64_t)gfn * FAKE_PAGE, FAKE_PAGE);
		memset(fake->ring[i], 0, FAKE_PAGE);
		fake->ring_ref[i] = fake_grant(fake, gfn, GTF_permit_access);
	}
	fake->next_gfn += 2 * fake->ring_pages + 1;
	memcpy(ring.pages, fake->ring, sizeof(ring.pages));
	block_ring_init(&ring, fake->ring_pages);
	fake->n_slots = ring.n_slots;
	((uint32_t *)(void *)fake->ring[0])[1] = ((uint32_t *)(void *)fake->ring[0])[3] = 1; /* req_event, rsp_event */
	fake->produced = fake->consumed = 0;
	fake->port++;
}

void fake_publish_ring(struct fake *fake, const char *folder)
{
	g_autofree char *channel = g_strconcat(folder, "event-channel", NULL);

	for (unsigned int i = 0; i < fake->ring_pages; i++) {
		g_autofree char *key = fake->ring_pages == 1 ? g_strconcat(folder, "ring-ref", NULL) :
							       g_strdup_printf("%sring-ref%u", folder, i);

		fake_write(fake, key, "%u", fake->ring_ref[i]);
	}
	fake_write(fake, channel, "%u", fake->port);
}

void fake_connect(struct fake *fake, unsigned int order)
{
	fake_make_ring(fake, order);
	fake_write(fake, "ring-page-order", "%u", order);
	fake_publish_ring(fake, "");
	fake_set_state(fake, XenbusStateInitialised);
	fake_wait_state(fake, XenbusStateConnected);
	fake_set_state(fake, XenbusStateConnected);
}

void fake_disconnect(struct fake *fake)
{
	fake_set_state(fake, XenbusStateClosing);
	fake_wait_state(fake, XenbusStateClosing);
	fake_set_state(fake, XenbusStateClosed);
	fake_wait_state(fake, XenbusStateClosed);
	fake_set_state(fake, XenbusStateInitialising);
	fake_wait_state(fake, XenbusStateInitWait);
}

static void copy_slot(struct fake *fake, uint32_t index, uint8_t *bytes, size_t len_bytes, bool to_ring)
{
	for (size_t i = 0; i < len_bytes; i++) {
		size_t offset = 64 + (size_t)(index & (fake->n_slots - 1)) * fake->layout->slot_bytes + i;
		uint8_t *shared = &fake->ring[offset / FAKE_PAGE][offset % FAKE_PAGE];

		*(to_ring ? shared : bytes + i) = *(to_ring ? bytes + i : shared);
	}
}

void fake_put(struct fake *fake, const struct fake_request *request)
{
	const struct block_layout *layout = fake->layout;
	uint8_t slot[BLOCK_SLOT_BYTES_MAX] = { request->operation, request->n_segments };

	memcpy(slot + layout->id, &request->id, sizeof(request->id));
	memcpy(slot + layout->sector, &request->sector, sizeof(request->sector));
	if (request->indirect) {
		slot[0] = BLKIF_OP_INDIRECT;
		slot[1] = request->indirect_op;
		memcpy(slot + 2, &request->n_indirect, sizeof(request->n_indirect));
		memcpy(slot + layout->indirect_refs, request->indirect_ref, sizeof(request->indirect_ref));
	} else if (request->operation == BLKIF_OP_DISCARD) {
		memcpy(slot + layout->discard_sectors, &request->n_sectors, sizeof(request->n_sectors));
	} else {
		for (unsigned int i = 0; i < 11; i++) {
			uint8_t *segment = slot + layout->segments + 8 * i;

			memcpy(segment, &request->segment[i].ref, 4);
			segment[4] = request->segment[i].first;
			segment[5] = request->segment[i].last;
		}
	}
	copy_slot(fake, fake->produced++, slot, layout->slot_bytes, true);
}

void fake_kick(struct fake *fake)
{
	__atomic_store_n((uint32_t *)(void *)fake->ring[0], fake->produced, __ATOMIC_SEQ_CST);
	if (fake->ports[fake->port].from_guest_fd)
		g_assert_cmpint(eventfd_write(fake->ports[fake->port].from_guest_fd, 1), ==, 0);
}

int16_t fake_take(struct fake *fake, uint64_t *id, uint8_t *operation)
{
	gint64 until_us = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
	uint8_t response[16];
	int16_t status;

	while (__atomic_load_n((uint32_t *)(void *)fake->ring[0] + 2, __ATOMIC_SEQ_CST) == fake->consumed) {
		g_usleep(50);
		g_assert_cmpint(g_get_monotonic_time(), <, until_us);
	}
	copy_slot(fake, fake->consumed++, response, fake->layout->response_bytes, false);
	__atomic_store_n((uint32_t *)(void *)fake->ring[0] + 3, fake->consumed + 1, __ATOMIC_SEQ_CST);
	if (id)
		memcpy(id, response, sizeof(*id));
	if (operation)
		*operation = response[8];
	memcpy(&status, response + 10, sizeof(status));
	return status;
}

int16_t fake_do(struct fake *fake, const struct fake_request *request)
{
	uint64_t id;
	uint8_t operation;

	fake_put(fake, request);
	fake_kick(fake);
	int16_t status = fake_take(fake, &id, &operation);
	g_assert_cmpuint(id, ==, request->id);
	g_assert_cmpuint(operation, ==, request->indirect ? request->indirect_op : request->operation);
	return status;
}
