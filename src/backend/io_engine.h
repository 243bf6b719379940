// SPDX-License-Identifier: MIT
/*
 * How the I/O thread reads and writes files and learns of events: one table of operations, two engines behind it.
 *
 *   uring   io_uring: requests of many disks and the guest's events in one system call
 *   sync    preadv2, pwritev2, fdatasync, fallocate in the thread itself, events by epoll; where io_uring is forbidden
 *
 * A request whose file never blocks (tmpfs) is done at once by both: io_uring would hand it to a worker thread, which
 * costs more than twice as much. Completion is always told from turn(), never from submit().
 *
 * Thread: the one that made the engine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sandbox/sandbox.h"

struct io_engine;

enum io_kind { IO_READ, IO_WRITE, IO_FLUSH, IO_DISCARD };

struct io_remote;

/* Owned by who submits it, untouched until done() was called. */
struct io_op {
	enum io_kind kind;
	bool at_once; /* its file never blocks */
	struct io_remote *remote; /* in place of fd: submitted to it, not to the engine; NULL */
	int fd;
	uint64_t offset_bytes;
	uint64_t len_bytes; /* of IO_DISCARD */
	struct iovec *iov;  /* of IO_READ and IO_WRITE */
	unsigned int n_iov;
	void (*done)(struct io_op *op); /* may submit it again */
	int64_t result; /* bytes, or a negative errno */
	struct io_op *next;
	/* Of a remote one: requests not answered yet, and what it has moved when none failed. */
	unsigned int n_pieces;
	int64_t sum_bytes;
};

/*
 * Tells of each change of a descriptor to readable, or to writable: of each write to an eventfd, which is never read (its
 * counter has room for 2^64), of what comes for a socket. Once when the watch begins, if it is so already.
 */
struct io_watch {
	int fd; /* one watch of each at a time */
	bool for_writing;
	void (*ready)(struct io_watch *watch);
	void (*gone)(struct io_watch *watch); /* after unwatch(): it is not looked at any more */
	bool leaving;
	struct io_watch *next;
};

/*
 * A file that the kernel does not know: its ops go over a connection of its own, which an engine watches. The I/O thread's.
 */
struct io_remote_ops {
	bool (*attach)(struct io_remote *remote, struct io_engine *engine);
	/* Nothing is in flight. detached() is called when it is not watched any more, perhaps at once. */
	void (*detach)(struct io_remote *remote, void (*detached)(void *opaque), void *opaque);
	void (*submit)(struct io_remote *remote, struct io_op *op);
	/* Nobody waits for the server any longer: what is in flight fails, and all that comes. */
	void (*give_up)(struct io_remote *remote);
};

struct io_remote {
	const struct io_remote_ops *ops;
	struct io_engine *engine; /* NULL: not attached */
};

#define IO_NO_LIMIT (-1)

/* Of an eventfd: as if it had been written once more; others have their turn before. */
void io_watch_repeat(const struct io_watch *watch);

struct io_engine_ops {
	const char *name;
	enum sandbox_thread filter; /* what its thread needs when there is an engine */
	int (*watch)(struct io_engine *engine, struct io_watch *watch); /* 0 or a positive errno */
	void (*unwatch)(struct io_engine *engine, struct io_watch *watch);
	void (*submit)(struct io_engine *engine, struct io_op *op);
	/*
	 * Hands over what was submitted, waits until something happened unless something has, and tells of it. Waits no longer
	 * than that; IO_NO_LIMIT: as long as it takes. n_wanted: with a limit, it may wait for so many ops or events.
	 */
	void (*turn)(struct io_engine *engine, int64_t timeout_ns, unsigned int n_wanted);
	void (*free)(struct io_engine *engine);
};

struct io_engine {
	const struct io_engine_ops *ops;
	struct io_op *finished, **finished_end;
};

/* NULL: errno says why. ENOSYS or EPERM: this host has no io_uring for us. */
struct io_engine *io_engine_uring_new(void);
struct io_engine *io_engine_sync_new(void);

/* For the engines and remote files. */
void io_engine_init(struct io_engine *engine, const struct io_engine_ops *ops);
void io_op_finish(struct io_engine *engine, struct io_op *op); /* it has its result: told of by run_finished() */
void io_op_execute(struct io_engine *engine, struct io_op *op); /* now, in this thread; told of by run_finished() */
bool io_engine_run_finished(struct io_engine *engine); /* TRUE: there was something */
