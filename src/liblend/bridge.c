// SPDX-License-Identifier: MIT
/*
 * A bridge is a userfaultfd of its own on a range of the lender's memory. It is there for the kernel's events alone, not for
 * faults: the range is registered for asynchronous write protection and never protected, which any kind of mapping takes and
 * no access ever notices; no privilege is needed.
 *
 * Whoever unmaps, moves or discards a part of the range waits until the event is read, and no longer. What the event is
 * about is not known before. So when there is one, first the whole range is revoked, then the event is read: when the system
 * call goes on, nobody reaches any of it, and what of the range is still wanted is asked for again. Who wants that to be
 * less has several bridges. Source: fs/userfaultfd.c, userfaultfd_ctx_read().
 *
 * A child after fork() has no bridges: its mappings are not what was lent.
 */
#include "liblend/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "lend/broken.h"

#define FEATURES (UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_WP_ASYNC)

struct bridge {
	int uffd; /* -1: a free place */
	uint64_t start, end;
	uint32_t window;
	uint64_t offset_bytes; /* in the window, of start */
};

struct bridges {
	struct lend *lend;
	pthread_mutex_t lock; /* of the places; held while an event is served, so a bridge does not go away meanwhile */
	struct bridge places[LEND_MAX_BRIDGES];
	int wake_fd;
	bool ending;
	pthread_t thread;
};

static void drop(struct bridge *bridge)
{
	close(bridge->uffd);
	bridge->uffd = -1;
}

/* What is no longer mapped is no longer watched. A hole in the middle stays: there more than is needed is revoked. */
static void cut(struct bridge *bridge, uint64_t start, uint64_t end)
{
	if (start <= bridge->start && end >= bridge->end) {
		drop(bridge);
	} else if (start <= bridge->start && end > bridge->start) {
		bridge->offset_bytes += end - bridge->start;
		bridge->start = end;
	} else if (end >= bridge->end && start < bridge->end) {
		bridge->end = start;
	}
}

/* System calls: read, ioctl */
static void serve(struct lend *lend, struct bridge *bridge)
{
	struct uffd_msg message;

	/* It fails when the window is not ours any more, or the connection has ended: then nothing is lent by us. */
	if (!LEND_BREAKS(LEND_RULE_BRIDGE))
		(void)lend_revoke(lend, bridge->window, bridge->offset_bytes, bridge->end - bridge->start, NULL);
	if (read(bridge->uffd, &message, sizeof(message)) != (ssize_t)sizeof(message))
		return;
	if (LEND_BREAKS(LEND_RULE_BRIDGE) && usleep(1000) == 0)
		(void)lend_revoke(lend, bridge->window, bridge->offset_bytes, bridge->end - bridge->start, NULL);
	if (message.event == UFFD_EVENT_UNMAP) {
		cut(bridge, message.arg.remove.start, message.arg.remove.end);
	} else if (message.event == UFFD_EVENT_REMAP) {
		/* At its new place it is not lent. */
		struct uffdio_range moved = { message.arg.remap.to, message.arg.remap.len };

		(void)ioctl(bridge->uffd, UFFDIO_UNREGISTER, &moved);
		cut(bridge, message.arg.remap.from, message.arg.remap.from + message.arg.remap.len);
	}
}

static void *watch(void *opaque)
{
	struct bridges *bridges = opaque;
	struct pollfd fds[LEND_MAX_BRIDGES + 1];
	uint64_t count;

	for (;;) {
		pthread_mutex_lock(&bridges->lock);
		bool ending = bridges->ending;
		/* poll() passes over what is negative. */
		for (unsigned int i = 0; i < LEND_MAX_BRIDGES; i++)
			fds[i] = (struct pollfd){ .fd = bridges->places[i].uffd, .events = POLLIN };
		pthread_mutex_unlock(&bridges->lock);
		if (ending)
			return NULL;
		fds[LEND_MAX_BRIDGES] = (struct pollfd){ .fd = bridges->wake_fd, .events = POLLIN };
		if (poll(fds, LEND_MAX_BRIDGES + 1, -1) <= 0)
			continue;
		ssize_t got = read(bridges->wake_fd, &count, sizeof(count));
		(void)got;
		for (unsigned int i = 0; i < LEND_MAX_BRIDGES; i++) {
			pthread_mutex_lock(&bridges->lock);
			/* Another bridge may have come to the place: its event is looked at in the next turn, if there is one. */
			if (fds[i].revents != 0 && bridges->places[i].uffd == fds[i].fd)
				serve(bridges->lend, &bridges->places[i]);
			pthread_mutex_unlock(&bridges->lock);
		}
	}
}

static void wake(const struct bridges *bridges)
{
	const uint64_t one = 1;
	ssize_t written = write(bridges->wake_fd, &one, sizeof(one));

	(void)written;
}

/* The program's signals are for its own threads. */
static int start_thread(struct bridges *bridges)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&bridges->thread, NULL, watch, bridges);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

struct bridges *bridges_new(struct lend *lend)
{
	struct bridges *bridges = calloc(1, sizeof(*bridges));

	if (!bridges)
		return NULL;
	bridges->lend = lend;
	for (unsigned int i = 0; i < LEND_MAX_BRIDGES; i++)
		bridges->places[i].uffd = -1;
	bridges->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&bridges->lock, NULL);
	if (bridges->wake_fd >= 0 && start_thread(bridges) == 0)
		return bridges;
	if (bridges->wake_fd >= 0)
		close(bridges->wake_fd);
	pthread_mutex_destroy(&bridges->lock);
	free(bridges);
	return NULL;
}

void bridges_free(struct bridges *bridges)
{
	if (!bridges)
		return;
	pthread_mutex_lock(&bridges->lock);
	bridges->ending = true;
	pthread_mutex_unlock(&bridges->lock);
	wake(bridges);
	pthread_join(bridges->thread, NULL);
	for (unsigned int i = 0; i < LEND_MAX_BRIDGES; i++)
		if (bridges->places[i].uffd >= 0)
			drop(&bridges->places[i]);
	close(bridges->wake_fd);
	pthread_mutex_destroy(&bridges->lock);
	free(bridges);
}

/* A descriptor, or a negative errno. System calls: userfaultfd, ioctl */
static int watch_range(uint64_t start, uint64_t len_bytes)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURES };
	struct uffdio_register range = { .range = { start, len_bytes }, .mode = UFFDIO_REGISTER_MODE_WP };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (uffd < 0)
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	/* Linux before 6.7. */
	if (ioctl(uffd, UFFDIO_API, &api) != 0) {
		close(uffd);
		return -EOPNOTSUPP;
	}
	if (ioctl(uffd, UFFDIO_REGISTER, &range) != 0) {
		int error = errno;

		close(uffd);
		return -error;
	}
	return uffd;
}

int lend_bridge_add(struct lend *lend, void *address, uint64_t len_bytes, uint32_t window, uint64_t offset_bytes)
{
	uint64_t start = (uint64_t)(uintptr_t)address;
	int number = 0;

	if (start % LEND_PAGE_BYTES != 0 || len_bytes == 0 || len_bytes % LEND_PAGE_BYTES != 0 ||
	    offset_bytes % LEND_PAGE_BYTES != 0 || len_bytes > UINT64_MAX - start || len_bytes > UINT64_MAX - offset_bytes)
		return -EINVAL;
	struct bridges *bridges = bridges_of(lend);
	if (!bridges)
		return -ENOMEM;
	pthread_mutex_lock(&bridges->lock);
	while (number < (int)LEND_MAX_BRIDGES && bridges->places[number].uffd >= 0)
		number++;
	int uffd = number == (int)LEND_MAX_BRIDGES ? -ENOSPC : watch_range(start, len_bytes);
	if (uffd >= 0)
		bridges->places[number] = (struct bridge){ uffd, start, start + len_bytes, window, offset_bytes };
	pthread_mutex_unlock(&bridges->lock);
	if (uffd < 0)
		return uffd;
	wake(bridges);
	return number;
}

int lend_bridge_remove(struct lend *lend, int number)
{
	struct bridges *bridges = bridges_of(lend);
	int result = -ENOENT;

	if (!bridges || number < 0 || number >= (int)LEND_MAX_BRIDGES)
		return -ENOENT;
	pthread_mutex_lock(&bridges->lock);
	if (bridges->places[number].uffd >= 0) {
		drop(&bridges->places[number]);
		result = 0;
	}
	pthread_mutex_unlock(&bridges->lock);
	return result;
}
