// SPDX-License-Identifier: MIT
/*
 * What both engines need. preadv2 and pwritev2 are also what sockets and taps are read and written by (net_stream.c, net_tap.c): so a thread
 * needs two system calls and not six.
 */
#include "backend/io_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* syscalls(io, io_sync): write */
void io_watch_repeat(const struct io_watch *watch)
{
	const uint64_t one = 1;
	ssize_t written = write(watch->fd, &one, sizeof(one));

	(void)written;
}

void io_engine_init(struct io_engine *engine, const struct io_engine_ops *ops)
{
	engine->ops = ops;
	engine->finished = NULL;
	engine->finished_end = &engine->finished;
}

/* syscalls(io, io_sync): preadv2 pwritev2 */
/* syscalls(io_sync): fdatasync fallocate */
static int64_t execute(const struct io_op *op)
{
	const off_t offset = (off_t)op->offset_bytes;
	int64_t rc;

	switch (op->kind) {
	case IO_READ:
		rc = preadv2(op->fd, op->iov, (int)op->n_iov, offset, 0);
		break;
	case IO_WRITE:
		rc = pwritev2(op->fd, op->iov, (int)op->n_iov, offset, 0);
		break;
	case IO_FLUSH:
		rc = fdatasync(op->fd);
		break;
	default:
		rc = fallocate(op->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, (off_t)op->len_bytes);
		break;
	}
	return rc < 0 ? -errno : rc;
}

void io_op_finish(struct io_engine *engine, struct io_op *op)
{
	op->next = NULL;
	*engine->finished_end = op;
	engine->finished_end = &op->next;
}

void io_op_execute(struct io_engine *engine, struct io_op *op)
{
	op->result = execute(op);
	io_op_finish(engine, op);
}

bool io_engine_run_finished(struct io_engine *engine)
{
	struct io_op *op = engine->finished;

	engine->finished = NULL;
	engine->finished_end = &engine->finished;
	bool any = op != NULL;
	while (op) {
		struct io_op *next = op->next;

		op->done(op);
		op = next;
	}
	return any;
}
