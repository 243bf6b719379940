// SPDX-License-Identifier: MIT
/* A disk with snapshot=on is a disk, compared with one in memory; and its image stays as it was. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "backend/fake_frontend.h"

enum { SYNC, URING };

#define DISK_BYTES (FAKE_DISK_SECTORS * 512u)
#define PAGES      11u

struct snapshot {
	struct fake *fake;
	uint8_t *model;
	uint8_t *page[PAGES];
	uint32_t ref[PAGES];
};

static uint8_t *read_image(const struct fake *fake)
{
	uint8_t *bytes = g_malloc(DISK_BYTES);
	int fd = open(fake->path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(pread(fd, bytes, DISK_BYTES, 0), ==, DISK_BYTES);
	close(fd);
	return bytes;
}

/* Some sectors of some pages, one request's worth, from a random place; the request, and how many bytes. */
static size_t pick(const struct snapshot *snapshot, struct fake_request *request)
{
	size_t len_bytes = 0;

	request->n_segments = (uint8_t)g_test_rand_int_range(1, PAGES + 1);
	for (unsigned int i = 0; i < request->n_segments; i++) {
		uint8_t first = (uint8_t)g_test_rand_int_range(0, 8), last = (uint8_t)g_test_rand_int_range(first, 8);

		request->segment[i].ref = snapshot->ref[i];
		request->segment[i].first = first;
		request->segment[i].last = last;
		len_bytes += (last - first + 1u) * 512u;
	}
	request->sector = (uint64_t)g_test_rand_int_range(0, (gint32)(FAKE_DISK_SECTORS - len_bytes / 512));
	return len_bytes;
}

/* Between the request's pages and bytes side by side. */
static void copy(const struct snapshot *snapshot, const struct fake_request *request, uint8_t *bytes, bool to_pages)
{
	for (unsigned int i = 0; i < request->n_segments; i++) {
		uint8_t *part = snapshot->page[i] + request->segment[i].first * 512u;
		size_t len_bytes = (request->segment[i].last - request->segment[i].first + 1u) * 512u;

		memcpy(to_pages ? part : bytes, to_pages ? bytes : part, len_bytes);
		bytes += len_bytes;
	}
}

static void check_write(struct snapshot *snapshot)
{
	struct fake_request request = { .operation = BLKIF_OP_WRITE };
	size_t len_bytes = pick(snapshot, &request);
	uint8_t *there = snapshot->model + request.sector * 512;

	for (size_t i = 0; i < len_bytes; i += 512)
		memset(there + i, g_test_rand_int_range(0, 256), 512);
	copy(snapshot, &request, there, true);
	g_assert_cmpint(fake_do(snapshot->fake, &request), ==, BLKIF_RSP_OKAY);
}

static void check_read(struct snapshot *snapshot)
{
	struct fake_request request = { .operation = BLKIF_OP_READ };
	size_t len_bytes = pick(snapshot, &request);
	g_autofree uint8_t *bytes = g_malloc(len_bytes);

	for (unsigned int i = 0; i < PAGES; i++)
		memset(snapshot->page[i], 0xee, FAKE_PAGE);
	g_assert_cmpint(fake_do(snapshot->fake, &request), ==, BLKIF_RSP_OKAY);
	copy(snapshot, &request, bytes, false);
	g_assert_cmpint(memcmp(bytes, snapshot->model + request.sector * 512, len_bytes), ==, 0);
}

static void check_discard(struct snapshot *snapshot)
{
	struct fake_request request = { .operation = BLKIF_OP_DISCARD, .n_sectors = (uint64_t)g_test_rand_int_range(1, 40) };

	request.sector = (uint64_t)g_test_rand_int_range(0, (gint32)(FAKE_DISK_SECTORS - request.n_sectors));
	/* What is discarded reads as zeros here: in the overlay there is a hole then. */
	memset(snapshot->model + request.sector * 512, 0, request.n_sectors * 512);
	g_assert_cmpint(fake_do(snapshot->fake, &request), ==, BLKIF_RSP_OKAY);
}

static void check_model(struct fake *fake)
{
	struct snapshot snapshot = { .fake = fake };
	g_autofree uint8_t *before = read_image(snapshot.fake);

	snapshot.model = g_memdup2(before, DISK_BYTES);
	fake_connect(snapshot.fake, 0);
	for (unsigned int i = 0; i < PAGES; i++)
		snapshot.page[i] = fake_granted_page(snapshot.fake, &snapshot.ref[i]);
	for (unsigned int i = 0; i < 1500; i++) {
		switch (g_test_rand_int_range(0, 8)) {
		case 0:
			check_discard(&snapshot);
			break;
		case 1:
			g_assert_cmpint(fake_do(snapshot.fake, &(struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE }), ==,
					BLKIF_RSP_OKAY);
			break;
		case 2:
		case 3:
			check_write(&snapshot);
			break;
		default:
			check_read(&snapshot);
			break;
		}
		/* A kernel that starts again finds what the one before wrote. */
		if (i == 700) {
			fake_disconnect(snapshot.fake);
			fake_connect(snapshot.fake, 0);
		}
	}
	g_autofree uint8_t *after = read_image(snapshot.fake);
	g_assert_cmpint(memcmp(before, after, DISK_BYTES), ==, 0);
	g_free(snapshot.model);
	fake_free(snapshot.fake);
}

static void test_model(gconstpointer engine)
{
	check_model(fake_new_snapshot(GPOINTER_TO_INT(engine) == URING));
}

static void test_adopted(gconstpointer engine)
{
	check_model(fake_new_adopted(GPOINTER_TO_INT(engine) == URING));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_data_func("/backend/block_snapshot/sync/opened", GINT_TO_POINTER(SYNC), test_model);
	g_test_add_data_func("/backend/block_snapshot/uring/opened", GINT_TO_POINTER(URING), test_model);
	g_test_add_data_func("/backend/block_snapshot/sync/adopted", GINT_TO_POINTER(SYNC), test_adopted);
	g_test_add_data_func("/backend/block_snapshot/uring/adopted", GINT_TO_POINTER(URING), test_adopted);
	return g_test_run();
}
