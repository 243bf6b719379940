// SPDX-License-Identifier: MIT
/* What a lender must not be able to do to anybody but itself (R36). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lend-check.h"

static int connect_raw(const struct check *check)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, check->socket_path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		check_fatal("connect: %s", strerror(errno));
	return fd;
}

/* TRUE: the domain has hung up. */
static bool hung_up(int fd)
{
	uint8_t bytes[256];
	struct timeval limit = { .tv_sec = 10 };
	ssize_t got;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0)
		;
	return got == 0 || errno == ECONNRESET;
}

static void nonsense(struct check *check)
{
	static const uint32_t messages[][3] = {
		{ 0, 1, 0 }, { 0x4c01, 1, 0 }, { 0x4c01, 1, 17 }, { 0x4c01, 0, 16 }, { 0x4c01, 1, 0xffffffff }, { 0x4c04, 1, 48 },
		{ 0x4c01, 5, 16 }, { 0xffffffff, 0xffffffff, 0xffffffff }, { 0x4c81, 1, 0 },
	};
	uint8_t body[64] = { 0 };

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		int fd = connect_raw(check);

		(void)!write(fd, messages[i], sizeof(messages[i]));
		(void)!send(fd, body, sizeof(body), MSG_NOSIGNAL);
		EXPECT("nonsense ends the connection", hung_up(fd), true);
		close(fd);
	}
	/* Half a message, and silence. */
	int fd = connect_raw(check);
	(void)!write(fd, messages[1], 7);
	EXPECT("others are served", task_do(check, 0, TASK_READ, LEND_POST_GPA, 0, 0) != 0, true);
	close(fd);
}

static void bad_ranges(struct check *check)
{
	struct lend *lend = check->lend;

	EXPECT("beyond the window", lend_map(lend, 0, LEND_WINDOW_BYTES, 4096, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("across its end", lend_map(lend, 0, LEND_WINDOW_BYTES - 4096, 8192, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("around the address space", lend_map(lend, 0, 4096, UINT64_MAX - 4095, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("no page", lend_map(lend, 0, 0, 0, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("half a page", lend_map(lend, 0, 2048, 4096, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("a page and a half", lend_map(lend, 0, 0, 6144, check->fd, 0, 0), (uint64_t)-EINVAL);
	EXPECT("a crooked place in the file", lend_map(lend, 0, 0, 4096, check->fd, 100, 0), (uint64_t)-EINVAL);
	EXPECT("beyond all files", lend_map(lend, 0, 0, 4096, check->fd, UINT64_MAX - 4095, 0), (uint64_t)-EINVAL);
	EXPECT("flags of another time", lend_map(lend, 0, 0, 4096, check->fd, 0, 8), (uint64_t)-EINVAL);
	EXPECT("no such window", lend_map(lend, 99, 0, 4096, check->fd, 0, 0), (uint64_t)-ENOENT);
	EXPECT("revoke beyond it", lend_revoke(lend, 0, LEND_WINDOW_BYTES, 4096, NULL), (uint64_t)-EINVAL);
	EXPECT("an answer to nothing",
	       lend_supply(lend, &(struct lend_fault){ .id = 12345 }, 4096, check->fd, 0, 0), (uint64_t)-ESTALE);
	EXPECT("an action that is none",
	       lend_fail(lend, &(struct lend_fault){ .id = 12345 }, (enum lend_action)77), (uint64_t)-EINVAL);
}

static void bad_files(struct check *check)
{
	int pipe_fds[2], sealed = lend_memory_new(LEND_MEMORY_MEMFD, 8192);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC), folder = open("/", O_RDONLY | O_CLOEXEC);
	int proc = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	if (pipe(pipe_fds) != 0 || zero < 0 || folder < 0 || proc < 0 || sealed < 0)
		check_fatal("files");
	EXPECT("a pipe", (int)lend_map(check->lend, 0, 0, 4096, pipe_fds[0], 0, 0) < 0, true);
	EXPECT("a device", (int)lend_map(check->lend, 0, 0, 4096, zero, 0, 0) < 0, true);
	EXPECT("a folder", (int)lend_map(check->lend, 0, 0, 4096, folder, 0, 0) < 0, true);
	EXPECT("a file of the kernel's", lend_map(check->lend, 0, 0, 4096, proc, 0, 0), (uint64_t)-EOPNOTSUPP);
	EXPECT("a socket", lend_map(check->lend, 0, 0, 4096, lend_fd(check->lend), 0, 0), (uint64_t)-EOPNOTSUPP);
	(void)fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE);
	EXPECT("sealed against writing", lend_map(check->lend, 0, 0, 4096, sealed, 0, LEND_WRITABLE), (uint64_t)-EPERM);
	EXPECT("but not against reading", lend_map(check->lend, 0, 0, 4096, sealed, 0, 0), 0);
	EXPECT("beyond the file's end", lend_map(check->lend, 0, 4096, 4096 * 10, sealed, 4096, 0), 0);
	task_begin(check, 0, TASK_READ, GPA(8, 0), 0, 0, 0);
	struct lend_fault fault = FAULT(8);
	EXPECT("is nothing", lend_fail(check->lend, &fault, LEND_ACTION_ZERO), 0);
	(void)task_end(check, 0);
	revoke_pages(check, 0, 100);
	const int all[] = { pipe_fds[0], pipe_fds[1], zero, folder, proc, sealed };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		close(all[i]);
}

/* R36: so many leases that the kernel has no more mappings. */
static void tiny_leases(struct check *check)
{
	struct lend_state state;
	unsigned int lent = 0;
	int rc = 0;

	for (uint64_t page = 0; page < 16384 && rc == 0; page += 2, lent += rc == 0)
		rc = lend_map(check->lend, 0, page * 4096, 4096, check->fd, ((page * 7) % MEMORY_PAGES) * 4096, LEND_WRITABLE);
	EXPECT("a lease for every other page, or an honest no", rc == 0 || rc == -ENOSPC, true);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	EXPECT("all are there", state.lent_pages, lent);
	EXPECT("all go at once", lend_revoke(check->lend, 0, 0, LEND_WINDOW_BYTES, NULL) >= 0, true);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	EXPECT("none is left", state.lent_pages, 0);
}

static void reads_nothing(struct check *check)
{
	static const uint32_t hello[] = { 0x4c01, 1, 16, 1, 0, 0, 0 }, query[] = { 0x4c08, 1, 8, 0, 0 };
	int fd = connect_raw(check);

	(void)!write(fd, hello, sizeof(hello));
	for (unsigned int i = 0; i < 20000; i++)
		if (send(fd, query, sizeof(query), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	EXPECT("who does not read is in nobody's way", task_do(check, 0, TASK_READ, LEND_POST_GPA, 0, 0) != 0, true);
	revoke_pages(check, 0, 100);
	close(fd);
}

void check_bad_input(struct check *check)
{
	nonsense(check);
	bad_ranges(check);
	bad_files(check);
	tiny_leases(check);
	reads_nothing(check);
	/* More lenders than there are places: some are refused, the first two go on. */
	struct lend *many[20] = { NULL };
	unsigned int connected = 0;
	for (unsigned int i = 0; i < 20; i++)
		connected += lend_open(check->socket_path, &many[i]) == 0;
	EXPECT("fourteen more", connected, 14);
	for (unsigned int i = 0; i < 20; i++)
		lend_close(many[i]);
	EXPECT("the first still lends", task_do(check, 0, TASK_READ, LEND_POST_GPA, 0, 0) != 0, true);
}
