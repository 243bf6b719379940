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

static void on_end(void *opaque, const char *why)
{
	struct fake *fake = opaque;

	pthread_mutex_lock(&fake->guest.lock);
	if (!fake->ended)
		fake->ended = g_strdup(why);
	pthread_mutex_unlock(&fake->guest.lock);
}

static void on_gone(void *opaque, struct block_device *device)
{
	struct fake *fake = opaque;

	g_assert_true(device == fake->device);
	block_device_free(device);
	fake->device = NULL;
}

static void on_ejected(void *opaque, struct block_device *device)
{
	struct fake *fake = opaque;

	g_assert_true(device == fake->device);
	block_file_let_go(&fake->file);
	fake->n_ejected++;
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

/* The image becomes a qcow2 one with the same contents. */
static void convert(struct fake *fake)
{
	g_autofree char *raw = g_steal_pointer(&fake->path);

	fake->path = g_strconcat(raw, ".qcow2", NULL);
	fake_run_tool((const char *[]){ "qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, fake->path, NULL });
	unlink(raw);
}

static struct fake *make(bool use_uring, const struct disk_config *words, bool is_adopted)
{
	struct fake *fake = g_new0(struct fake, 1);
	GError *error = NULL;

	fake_guest_init(&fake->guest, use_uring, "vbd", 51712);
	make_disk(fake);
	if (words->format == DISK_FORMAT_QCOW2)
		convert(fake);

	struct disk_config disk = *words;
	disk.target = fake->path;
	disk.vdev = (char *)"xvda";
	if (!disk.on_error)
		disk.on_error = DISK_ON_ERROR_STOP;
	block_file_open(&fake->file, &disk, &error);
	g_assert_no_error(error);
	if (is_adopted)
		adopt(fake, &disk);
	else
		block_file_begin(&fake->file, &disk, &error);
	g_assert_no_error(error);
	/* /tmp may be memory: then io_uring would have nothing to do. */
	fake->file.at_once = !use_uring && fake->file.at_once;
	fake->file.overlay_at_once = !use_uring && fake->file.overlay_at_once;
	fake->env = (struct block_env){ .store = fake->guest.store, .io = fake->guest.io, .access = fake->guest.access, .max_queues = 4,
					.end = on_end, .gone = on_gone, .ejected = on_ejected, .no_room = on_no_room, .end_opaque = fake };
	fake->device = block_device_new(&fake->env, &fake->file);
	g_assert_nonnull(fake->device);
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

struct fake *fake_new_qcow2(bool use_uring, bool snapshot)
{
	return make(use_uring, &(struct disk_config){ .format = DISK_FORMAT_QCOW2, .snapshot = snapshot }, false);
}

struct fake *fake_new_adopted_qcow2(bool use_uring)
{
	return make(use_uring, &(struct disk_config){ .format = DISK_FORMAT_QCOW2, .snapshot = TRUE }, true);
}

void fake_run_tool(const char *const *words)
{
	GError *error = NULL;
	int status = -1;

	g_spawn_sync(NULL, (char **)(uintptr_t)words, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &error);
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
}

void fake_free(struct fake *fake)
{
	block_device_free(fake->device);
	fake_guest_fini(&fake->guest);
	block_file_close(&fake->file);
	unlink(fake->path);
	g_free(fake->path);
	g_free(fake->ended);
	g_free(fake->no_room);
	g_free(fake);
}

void fake_make_ring(struct fake *fake, unsigned int order)
{
	struct block_ring ring = { .layout = fake->layout };

	fake->ring_pages = 1u << order;
	for (unsigned int i = 0; i < fake->ring_pages; i++) {
		/* Not side by side: slots that cross a page would hide a mistake. */
		uint32_t gfn = fake->guest.next_gfn + 2 * (fake->ring_pages - i);

		fake->ring[i] = guest_memory_span(fake->guest.memory, (uint64_t)gfn * FAKE_PAGE, FAKE_PAGE);
		memset(fake->ring[i], 0, FAKE_PAGE);
		fake->ring_ref[i] = fake_grant(fake, gfn, GTF_permit_access);
	}
	fake->guest.next_gfn += 2 * fake->ring_pages + 1;
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
	if (fake->guest.ports[fake->port].from_guest_fd)
		g_assert_cmpint(eventfd_write(fake->guest.ports[fake->port].from_guest_fd, 1), ==, 0);
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
