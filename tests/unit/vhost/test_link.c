// SPDX-License-Identifier: MIT
/* What a back end sends, when it is a good one and when it is none; and what it may map. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include "vhost/link.h"
#include "vhost/maps.h"

#define PAGE UINT64_C(4096)
#define REGION (UINT64_C(4) << 20)

static int count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

struct pair {
	struct vhost_link link;
	int fd, channel_fd; /* the back end's */
	int n_fds_before;
};

static struct pair connect_pair(uint64_t protocol)
{
	struct pair pair = { .n_fds_before = count_fds() };
	int ends[2];

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
	pair.link.fd = ends[0];
	pair.fd = ends[1];
	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), ==, 0);
	pair.link.channel_fd = ends[0];
	pair.channel_fd = ends[1];
	pair.link.protocol = protocol;
	return pair;
}

static void end_pair(struct pair *pair)
{
	vhost_close(&pair->link);
	if (pair->fd >= 0)
		close(pair->fd);
	close(pair->channel_fd);
	g_assert_cmpint(count_fds(), ==, pair->n_fds_before);
}

static void put(int to_fd, uint32_t request, uint32_t flags, uint32_t len_bytes, const void *body, size_t sent_bytes, unsigned int n_fds)
{
	struct {
		struct vhost_user_header header;
		uint8_t body[512];
	} message = { .header = { request, flags, len_bytes } };
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &message, sizeof(message.header) + sent_bytes };
	struct msghdr parts = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (sent_bytes > 0)
		memcpy(message.body, body, sent_bytes);
	if (n_fds > 0) {
		const int fds[4] = { 0, 0, 0, 0 };

		parts.msg_control = &control;
		parts.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	g_assert_cmpint(sendmsg(to_fd, &parts, 0), ==, (ssize_t)iov.iov_len);
}

#define ANSWER (VHOST_FLAGS_VERSION | VHOST_FLAG_REPLY)

static void test_answers(void)
{
	static const struct {
		uint32_t request, flags, len_bytes, sent_bytes;
		unsigned int n_fds;
		bool good;
	} answers[] = {
		{ VHOST_USER_GET_FEATURES, ANSWER, 8, 8, 0, true },
		{ VHOST_USER_GET_FEATURES, ANSWER | VHOST_FLAG_NEED_REPLY, 8, 8, 0, true },
		{ VHOST_USER_GET_FEATURES, VHOST_FLAGS_VERSION, 8, 8, 0, false },
		{ VHOST_USER_GET_FEATURES, ANSWER + 1, 8, 8, 0, false },
		{ VHOST_USER_GET_QUEUE_NUM, ANSWER, 8, 8, 0, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, 4, 4, 0, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, 16, 16, 0, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, UINT32_MAX, 16, 0, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, 8, 8, 1, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, 8, 8, 4, false },
		{ VHOST_USER_GET_FEATURES, ANSWER, 8, 3, 0, false }, /* and then nothing */
	};
	const uint64_t features[2] = { UINT64_C(0x123456789abcdef0) };

	for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
		struct pair pair = connect_pair(0);
		uint64_t got = 0;

		put(pair.fd, answers[i].request, answers[i].flags, answers[i].len_bytes, features, answers[i].sent_bytes, answers[i].n_fds);
		g_assert_cmpint(shutdown(pair.fd, SHUT_WR), ==, 0);
		bool good = vhost_ask(&pair.link, VHOST_USER_GET_FEATURES, NULL, 0, &got, sizeof(got), sizeof(got), NULL);
		g_assert_cmpint(good, ==, answers[i].good);
		g_assert_cmpint(pair.link.fd >= 0, ==, good);
		if (good)
			g_assert_cmphex(got, ==, features[0]);
		/* Nothing is sent, nor hung, after that. */
		else
			g_assert_false(vhost_send(&pair.link, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0));
		end_pair(&pair);
	}
}

/* A back end's configuration has 60 bytes; more it refuses. */
static gpointer answer_config(gpointer data)
{
	int fd = GPOINTER_TO_INT(data);
	struct {
		struct vhost_user_header header;
		struct vhost_user_config config;
	} asked;

	while (recv(fd, &asked.header, sizeof(asked.header), MSG_WAITALL) == (ssize_t)sizeof(asked.header)) {
		g_assert_cmpuint(asked.header.request, ==, VHOST_USER_GET_CONFIG);
		g_assert_cmpint(recv(fd, &asked.config, asked.header.len_bytes, MSG_WAITALL), ==, (ssize_t)asked.header.len_bytes);
		g_assert_cmpuint(asked.header.len_bytes, ==, VHOST_CONFIG_HEAD_BYTES + asked.config.len_bytes);
		for (uint32_t i = 0; i < asked.config.len_bytes; i++)
			asked.config.bytes[i] = (uint8_t)(i + 1);
		uint32_t len_bytes = asked.config.len_bytes <= 60 ? asked.header.len_bytes : 0;
		put(fd, VHOST_USER_GET_CONFIG, ANSWER, len_bytes, &asked.config, len_bytes, 0);
	}
	return NULL;
}

static void test_config(void)
{
	struct pair pair = connect_pair(0);
	GThread *thread = g_thread_new("back-end", answer_config, GINT_TO_POINTER(pair.fd));
	uint8_t config[VHOST_CONFIG_BYTES];
	uint32_t len_bytes;

	g_assert_true(vhost_find_config(&pair.link, config, &len_bytes));
	g_assert_cmpuint(len_bytes, ==, 60);
	for (unsigned int i = 0; i < sizeof(config); i++)
		g_assert_cmpuint(config[i], ==, i < 60 ? i + 1 : 0);
	vhost_close(&pair.link);
	g_thread_join(thread);
	end_pair(&pair);
}

static void test_requests(void)
{
	static const struct {
		uint32_t request, flags, len_bytes, sent_bytes;
		unsigned int n_fds;
		bool good;
	} requests[] = {
		{ VHOST_USER_BACKEND_SHMEM_MAP, VHOST_FLAGS_VERSION, 40, 40, 1, true },
		{ VHOST_USER_BACKEND_SHMEM_MAP, VHOST_FLAGS_VERSION | VHOST_FLAG_NEED_REPLY, 40, 40, 1, true },
		{ VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_FLAGS_VERSION, 0, 0, 0, true },
		{ 77, VHOST_FLAGS_VERSION, 200, 200, 1, true },
		{ 77, VHOST_FLAGS_VERSION, 300, 300, 0, false },
		{ VHOST_USER_BACKEND_SHMEM_MAP, VHOST_FLAGS_VERSION, 40, 40, 2, false },
		{ VHOST_USER_BACKEND_SHMEM_MAP, VHOST_FLAGS_VERSION, 39, 39, 1, false },
		{ VHOST_USER_BACKEND_SHMEM_MAP, VHOST_FLAGS_VERSION, 40, 20, 1, false },
		{ VHOST_USER_BACKEND_SHMEM_MAP, 0, 40, 40, 1, false },
		{ VHOST_USER_BACKEND_SHMEM_UNMAP, VHOST_FLAGS_VERSION, UINT32_MAX, 0, 0, false },
	};
	static const uint8_t body[512];

	for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
		struct pair pair = connect_pair(UINT64_C(1) << VHOST_PROTOCOL_REPLY_ACK);
		struct vhost_asked asked;
		struct vhost_user_header answer;

		put(pair.channel_fd, requests[i].request, requests[i].flags, requests[i].len_bytes, body, requests[i].sent_bytes, requests[i].n_fds);
		g_assert_cmpint(shutdown(pair.channel_fd, SHUT_WR), ==, 0);
		g_assert_cmpint(vhost_take_request(&pair.link, &asked), ==, requests[i].good);
		g_assert_cmpint(pair.link.channel_fd >= 0, ==, requests[i].good);
		g_assert_cmpint(asked.fd >= 0, ==, requests[i].good && requests[i].n_fds == 1);
		if (requests[i].good)
			vhost_answer(&pair.link, &asked, 0);
		if (asked.fd >= 0)
			close(asked.fd);
		/* An answer comes where it is wanted, and nowhere else. */
		ssize_t got = recv(pair.channel_fd, &answer, sizeof(answer), MSG_DONTWAIT);
		g_assert_cmpint(got == (ssize_t)sizeof(answer), ==, requests[i].good && (requests[i].flags & VHOST_FLAG_NEED_REPLY));
		end_pair(&pair);
	}
}

static void test_check(void)
{
	static const struct {
		uint32_t request;
		struct vhost_user_mmap map;
		int fd, error;
	} cases[] = {
#define MAP   VHOST_USER_BACKEND_SHMEM_MAP
#define UNMAP VHOST_USER_BACKEND_SHMEM_UNMAP
		{ MAP, { 3, { 0 }, 0, 0, REGION, 1 }, 5, 0 },
		{ MAP, { 3, { 0 }, PAGE, REGION - PAGE, PAGE, 0 }, 5, 0 },
		{ UNMAP, { 3, { 0 }, 7, 0, PAGE, 99 }, -1, 0 },
		{ MAP, { 2, { 0 }, 0, 0, PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, 0, 0, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, 0, PAGE, 2 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, 0, PAGE, 1 }, -1, EINVAL },
		{ UNMAP, { 3, { 0 }, 0, 0, PAGE, 0 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, 0, PAGE - 1, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, 1, PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 1, 0, PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, REGION, PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, REGION - PAGE, 2 * PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, -PAGE, 2 * PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, 0, PAGE, -PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, INT64_MAX - PAGE + 1, 0, PAGE, 1 }, 5, EINVAL },
		{ MAP, { 3, { 0 }, -PAGE, 0, 2 * PAGE, 1 }, 5, EINVAL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		const struct vhost_asked asked = { .header.request = cases[i].request, .map = cases[i].map, .fd = cases[i].fd };

		g_assert_cmpint(vhost_check_map(&asked, 3, REGION), ==, cases[i].error);
	}
}

/* Beside a model that knows for each page which range it is of. */
static void test_maps(void)
{
	enum { PAGES = 64 };
	static struct vhost_maps maps;
	unsigned int owner[PAGES] = { 0 }, next = 1, added = 0, refused = 0;

	for (unsigned int turn = 0; turn < 200000; turn++) {
		unsigned int from = (unsigned int)g_test_rand_int_range(0, PAGES), len = (unsigned int)g_test_rand_int_range(1, 9);
		bool is_free = true, is_one = true;

		len = MIN(len, PAGES - from);
		for (unsigned int i = from; i < from + len; i++) {
			is_free &= owner[i] == 0;
			is_one &= owner[i] != 0 && owner[i] == owner[from];
		}
		is_one &= (from == 0 || owner[from - 1] != owner[from]) && (from + len == PAGES || owner[from + len] != owner[from]);
		if (g_test_rand_bit()) {
			g_assert_cmpint(vhost_maps_add(&maps, from * PAGE, len * PAGE), ==, is_free);
			for (unsigned int i = from; is_free && i < from + len; i++)
				owner[i] = next;
			next += is_free;
			added += is_free;
			refused += !is_free;
		} else {
			g_assert_cmpint(vhost_maps_remove(&maps, from * PAGE, len * PAGE), ==, is_one);
			for (unsigned int i = from; is_one && i < from + len; i++)
				owner[i] = 0;
		}
	}
	/* Else it has seen nothing. */
	g_assert_cmpuint(added, >, 100);
	g_assert_cmpuint(refused, >, 100);
	(void)vhost_maps_clear(&maps);
	for (unsigned int i = 0; i < VHOST_MAX_MAPS; i++)
		g_assert_true(vhost_maps_add(&maps, 2 * i * PAGE, PAGE));
	g_assert_false(vhost_maps_add(&maps, 2 * VHOST_MAX_MAPS * PAGE, PAGE));
	g_assert_true(vhost_maps_clear(&maps));
	g_assert_false(vhost_maps_clear(&maps));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vhost/answers", test_answers);
	g_test_add_func("/vhost/config", test_config);
	g_test_add_func("/vhost/requests", test_requests);
	g_test_add_func("/vhost/check", test_check);
	g_test_add_func("/vhost/maps", test_maps);
	return g_test_run();
}
