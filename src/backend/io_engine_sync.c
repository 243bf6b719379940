// SPDX-License-Identifier: MIT
#include "backend/io_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 32
#define NS_PER_S   1000000000

struct sync_engine {
	struct io_engine base;
	int epoll_fd;
	struct io_watch *left; /* unwatched, to be told */
};

/* syscalls(io_sync): epoll_ctl */
static int watch(struct io_engine *engine, struct io_watch *watch)
{
	struct sync_engine *sync = (struct sync_engine *)engine;
	struct epoll_event event = { .events = (watch->for_writing ? EPOLLOUT : EPOLLIN) | EPOLLET, .data.ptr = watch };

	watch->leaving = false;
	return epoll_ctl(sync->epoll_fd, EPOLL_CTL_ADD, watch->fd, &event) == 0 ? 0 : errno;
}

static void unwatch(struct io_engine *engine, struct io_watch *watch)
{
	struct sync_engine *sync = (struct sync_engine *)engine;

	(void)epoll_ctl(sync->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->leaving = true;
	watch->next = sync->left;
	sync->left = watch;
}

static bool tell_left(struct sync_engine *sync)
{
	struct io_watch *watch = sync->left;

	sync->left = NULL;
	bool any = watch != NULL;
	while (watch) {
		struct io_watch *next = watch->next;

		watch->gone(watch);
		watch = next;
	}
	return any;
}

/* syscalls(io_sync): epoll_pwait2 */
static void turn(struct io_engine *engine, int64_t timeout_ns, unsigned int n_wanted)
{
	(void)n_wanted;
	struct sync_engine *sync = (struct sync_engine *)engine;
	struct epoll_event events[EVENTS_MAX];
	bool any = io_engine_run_finished(engine) || engine->finished || sync->left;
	const struct timespec limit = { any ? 0 : timeout_ns / NS_PER_S, any ? 0 : timeout_ns % NS_PER_S };
	int n = epoll_pwait2(sync->epoll_fd, events, EVENTS_MAX, any || timeout_ns != IO_NO_LIMIT ? &limit : NULL, NULL);

	for (int i = 0; i < n; i++) {
		struct io_watch *ready = events[i].data.ptr;

		/* One that went in this very round is only told of below. */
		if (!ready->leaving)
			ready->ready(ready);
	}
	(void)tell_left(sync);
}

static void free_engine(struct io_engine *engine)
{
	struct sync_engine *sync = (struct sync_engine *)engine;

	close(sync->epoll_fd);
	free(sync);
}

static const struct io_engine_ops OPS = { "sync", SANDBOX_IO_SYNC, watch, unwatch, io_op_execute, turn, free_engine };

struct io_engine *io_engine_sync_new(void)
{
	struct sync_engine *sync = calloc(1, sizeof(*sync));

	if (!sync)
		return NULL;
	io_engine_init(&sync->base, &OPS);
	sync->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sync->epoll_fd < 0) {
		free(sync);
		return NULL;
	}
	return &sync->base;
}
