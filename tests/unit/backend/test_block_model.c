// SPDX-License-Identifier: MIT
/*
 * A disk with snapshot=on is a disk, compared with one in memory, and its image stays as it was; and a qcow2 image is one
 * too, which has in the end what the disk had.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/fake_frontend.h"

enum { SYNC, URING };

#define DISK_BYTES (FAKE_DISK_SECTORS * 512u)
#define PAGES      11u

struct tested {
	struct fake *fake;
	uint64_t discard_sectors; /* in units of this many: of a part qcow2 keeps the data */
	uint8_t *model;
	uint8_t *page[PAGES];
	uint32_t ref[PAGES];
};

static uint8_t *read_file(const char *path)
{
	uint8_t *bytes = g_malloc(DISK_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(pread(fd, bytes, DISK_BYTES, 0), ==, DISK_BYTES);
	close(fd);
	return bytes;
}

/* What the disk has, by another program; --force-share: whoever may write to it now. */
static uint8_t *read_qcow2(const char *path)
{
	g_autofree char *raw = g_strconcat(path, ".raw", NULL);

	fake_run_tool((const char *[]){ "qemu-img", "convert", "-q", "--force-share", "-f", "qcow2", "-O", "raw", path, raw, NULL });
	uint8_t *bytes = read_file(raw);
	unlink(raw);
	return bytes;
}

/* Some sectors of some pages, one request's worth, from a random place; the request, and how many bytes. */
static size_t pick(const struct tested *tested, struct fake_request *request)
{
	size_t len_bytes = 0;

	request->n_segments = (uint8_t)g_test_rand_int_range(1, PAGES + 1);
	for (unsigned int i = 0; i < request->n_segments; i++) {
		uint8_t first = (uint8_t)g_test_rand_int_range(0, 8), last = (uint8_t)g_test_rand_int_range(first, 8);

		request->segment[i].ref = tested->ref[i];
		request->segment[i].first = first;
		request->segment[i].last = last;
		len_bytes += (last - first + 1u) * 512u;
	}
	request->sector = (uint64_t)g_test_rand_int_range(0, (gint32)(FAKE_DISK_SECTORS - len_bytes / 512));
	return len_bytes;
}

/* Between the request's pages and bytes side by side. */
static void copy(const struct tested *tested, const struct fake_request *request, uint8_t *bytes, bool to_pages)
{
	for (unsigned int i = 0; i < request->n_segments; i++) {
		uint8_t *part = tested->page[i] + request->segment[i].first * 512u;
		size_t len_bytes = (request->segment[i].last - request->segment[i].first + 1u) * 512u;

		memcpy(to_pages ? part : bytes, to_pages ? bytes : part, len_bytes);
		bytes += len_bytes;
	}
}

static void check_write(struct tested *tested)
{
	struct fake_request request = { .operation = BLKIF_OP_WRITE };
	size_t len_bytes = pick(tested, &request);
	uint8_t *there = tested->model + request.sector * 512;

	for (size_t i = 0; i < len_bytes; i += 512)
		memset(there + i, g_test_rand_int_range(0, 256), 512);
	copy(tested, &request, there, true);
	g_assert_cmpint(fake_do(tested->fake, &request), ==, BLKIF_RSP_OKAY);
}

static void check_read(struct tested *tested)
{
	struct fake_request request = { .operation = BLKIF_OP_READ };
	size_t len_bytes = pick(tested, &request);
	g_autofree uint8_t *bytes = g_malloc(len_bytes);

	for (unsigned int i = 0; i < PAGES; i++)
		memset(tested->page[i], 0xee, FAKE_PAGE);
	g_assert_cmpint(fake_do(tested->fake, &request), ==, BLKIF_RSP_OKAY);
	copy(tested, &request, bytes, false);
	g_assert_cmpint(memcmp(bytes, tested->model + request.sector * 512, len_bytes), ==, 0);
}

static void check_discard(struct tested *tested)
{
	const uint64_t unit = tested->discard_sectors;
	struct fake_request request = { .operation = BLKIF_OP_DISCARD,
					.n_sectors = unit * (uint64_t)g_test_rand_int_range(1, unit > 1 ? 3 : 40) };

	request.sector = unit * (uint64_t)g_test_rand_int_range(0, (gint32)((FAKE_DISK_SECTORS - request.n_sectors) / unit));
	/* What is discarded reads as zeros here: in the overlay there is a hole then. */
	memset(tested->model + request.sector * 512, 0, request.n_sectors * 512);
	g_assert_cmpint(fake_do(tested->fake, &request), ==, BLKIF_RSP_OKAY);
}

static void do_something(struct tested *tested)
{
	switch (g_test_rand_int_range(0, 8)) {
	case 0:
		check_discard(tested);
		break;
	case 1:
		g_assert_cmpint(fake_do(tested->fake, &(struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE }), ==,
				BLKIF_RSP_OKAY);
		break;
	case 2:
	case 3:
		check_write(tested);
		break;
	default:
		check_read(tested);
		break;
	}
}

/* The model in the end: to be freed. */
static uint8_t *check_model(struct fake *fake, const uint8_t *before, uint64_t discard_sectors)
{
	struct tested tested = { .fake = fake, .discard_sectors = discard_sectors, .model = g_memdup2(before, DISK_BYTES) };

	fake_connect(fake, 0);
	for (unsigned int i = 0; i < PAGES; i++)
		tested.page[i] = fake_granted_page(fake, &tested.ref[i]);
	for (unsigned int i = 0; i < 1500; i++) {
		do_something(&tested);
		/* A kernel that starts again finds what the one before wrote. */
		if (i == 700) {
			fake_disconnect(fake);
			fake_connect(fake, 0);
		}
	}
	return tested.model;
}

/* The image has in the end what it had before. */
static void check_snapshot(struct fake *fake, uint8_t *(*read_image)(const char *path))
{
	g_autofree uint8_t *before = read_image(fake->path);
	g_free(check_model(fake, before, 1));
	g_autofree uint8_t *after = read_image(fake->path);

	g_assert_cmpint(memcmp(before, after, DISK_BYTES), ==, 0);
	fake_free(fake);
}

static void test_opened(gconstpointer engine)
{
	check_snapshot(fake_new_snapshot(GPOINTER_TO_INT(engine) == URING), read_file);
}

static void test_adopted(gconstpointer engine)
{
	check_snapshot(fake_new_adopted(GPOINTER_TO_INT(engine) == URING), read_file);
}

static void test_qcow2(gconstpointer engine)
{
	struct fake *fake = fake_new_qcow2(GPOINTER_TO_INT(engine) == URING, false);
	g_autofree uint8_t *before = read_qcow2(fake->path);
	g_autofree uint8_t *model = check_model(fake, before, 128);

	g_assert_cmpint(fake_do(fake, &(struct fake_request){ .operation = BLKIF_OP_FLUSH_DISKCACHE }), ==, BLKIF_RSP_OKAY);
	g_autofree uint8_t *after = read_qcow2(fake->path);
	g_assert_cmpint(memcmp(model, after, DISK_BYTES), ==, 0);
	fake_free(fake);
}

static void test_qcow2_snapshot(gconstpointer engine)
{
	check_snapshot(fake_new_qcow2(GPOINTER_TO_INT(engine) == URING, true), read_qcow2);
}

static void test_qcow2_adopted(gconstpointer engine)
{
	check_snapshot(fake_new_adopted_qcow2(GPOINTER_TO_INT(engine) == URING), read_qcow2);
}

/* The server dies with much in flight: each request is answered, and the policy hears why. */
static void test_qcow2_dead(gconstpointer engine)
{
	struct fake *fake = fake_new_qcow2(GPOINTER_TO_INT(engine) == URING, false);
	struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1 };
	unsigned int n_errors = 0;

	fake_connect(fake, 0);
	fake_granted_page(fake, &request.segment[0].ref);
	request.segment[0].last = 7;
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_OKAY);
	g_assert_cmpint(fake->file.helper_pidfd, >=, 0);
	for (unsigned int i = 0; i < fake->n_slots; i++) {
		request.sector = i * 8;
		fake_put(fake, &request);
	}
	fake_kick(fake);
	g_assert_cmpint(syscall(SYS_pidfd_send_signal, fake->file.helper_pidfd, SIGKILL, NULL, 0), ==, 0);
	for (unsigned int i = 0; i < fake->n_slots; i++)
		n_errors += fake_take(fake, NULL, NULL) != BLKIF_RSP_OKAY;
	g_test_message("%u of %u failed", n_errors, fake->n_slots);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_ERROR);
	g_assert_nonnull(fake->ended);
	g_assert_nonnull(strstr(fake->ended, "its server is gone"));
	/* And it can be let go of, and taken again, for what that is worth. */
	fake_disconnect(fake);
	fake_connect(fake, 0);
	g_assert_cmpint(fake_do(fake, &request), ==, BLKIF_RSP_ERROR);
	fake_free(fake);
}

/* One that does not answer any more holds up the guest, and the end for a while only. */
static void test_qcow2_silent(gconstpointer engine)
{
	struct fake *fake = fake_new_qcow2(GPOINTER_TO_INT(engine) == URING, false);
	struct fake_request request = { .operation = BLKIF_OP_READ, .n_segments = 1 };
	int pidfd = fcntl(fake->file.helper_pidfd, F_DUPFD_CLOEXEC, 0);

	fake_connect(fake, 0);
	fake_granted_page(fake, &request.segment[0].ref);
	g_assert_cmpint(syscall(SYS_pidfd_send_signal, pidfd, SIGSTOP, NULL, 0), ==, 0);
	fake_put(fake, &request);
	fake_kick(fake);
	fake_run_for(50);
	fake_free(fake);
	g_assert_cmpint(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), ==, 0);
	close(pidfd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestDataFunc test;
	} tests[] = { { "snapshot/opened", test_opened },
		      { "snapshot/adopted", test_adopted },
		      { "qcow2", test_qcow2 },
		      { "qcow2/snapshot", test_qcow2_snapshot },
		      { "qcow2/adopted", test_qcow2_adopted },
		      { "qcow2/dead", test_qcow2_dead },
		      { "qcow2/silent", test_qcow2_silent } };

	g_test_init(&argc, &argv, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		for (int engine = SYNC; engine <= URING; engine++) {
			g_autofree char *path = g_strdup_printf("/backend/block_model/%s/%s", tests[i].name, engine == URING ? "uring" : "sync");

			g_test_add_data_func(path, GINT_TO_POINTER(engine), tests[i].test);
		}
	return g_test_run();
}
