// SPDX-License-Identifier: MIT
/*
 * One ring for all files and all events of a domain. Events come by multishot poll: a write to an eventfd is one
 * completion, without a read of it.
 *
 * What the kernel does for a ring passes by seccomp. So the ring itself is restricted to the operations that are here, when it
 * is made, before the guest runs.
 */
#include "backend/io_engine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <liburing.h>

#define SQ_ENTRIES 256u
#define CQ_ENTRIES 1024u /* more than this wait in the kernel (IORING_FEAT_NODROP) */
#define BATCH_MAX  64u
#define NS_PER_S   1000000000

/* user_data is the address of an op, or of a watch with the lowest bit set; 0: nobody wants to know. */
#define IS_WATCH 1u

struct uring_engine {
	struct io_engine base;
	struct io_uring ring;
};

/* A place in the submission queue, which is emptied when it is full. syscalls(io): io_uring_enter poll */
static struct io_uring_sqe *next_sqe(struct uring_engine *uring)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&uring->ring))) {
		/* The kernel is out of memory, or the completion queue overflowed: both pass. */
		if (io_uring_submit(&uring->ring) < 0)
			(void)poll(NULL, 0, 1);
	}
	return sqe;
}

static void arm(struct uring_engine *uring, struct io_watch *watch)
{
	struct io_uring_sqe *sqe = next_sqe(uring);

	io_uring_prep_poll_multishot(sqe, watch->fd, watch->for_writing ? POLLOUT : POLLIN);
	io_uring_sqe_set_data64(sqe, (uintptr_t)watch | IS_WATCH);
}

static int watch(struct io_engine *engine, struct io_watch *watch)
{
	watch->leaving = false;
	arm((struct uring_engine *)engine, watch);
	return 0;
}

static void unwatch(struct io_engine *engine, struct io_watch *watch)
{
	struct io_uring_sqe *sqe = next_sqe((struct uring_engine *)engine);

	/* The poll's own last completion says that it is gone. Not POLL_REMOVE: that fails while an event is on its way. */
	watch->leaving = true;
	io_uring_prep_cancel64(sqe, (uintptr_t)watch | IS_WATCH, 0);
	io_uring_sqe_set_data64(sqe, 0);
}

/* One piece, as most are whose pages lie side by side, is less work for the kernel than a list of one. */
static void prepare_transfer(struct io_uring_sqe *sqe, const struct io_op *op)
{
	const struct iovec *piece = op->iov;

	if (op->kind == IO_READ && op->n_iov == 1)
		io_uring_prep_read(sqe, op->fd, piece->iov_base, (unsigned int)piece->iov_len, op->offset_bytes);
	else if (op->kind == IO_READ)
		io_uring_prep_readv(sqe, op->fd, piece, op->n_iov, op->offset_bytes);
	else if (op->n_iov == 1)
		io_uring_prep_write(sqe, op->fd, piece->iov_base, (unsigned int)piece->iov_len, op->offset_bytes);
	else
		io_uring_prep_writev(sqe, op->fd, piece, op->n_iov, op->offset_bytes);
}

static void submit(struct io_engine *engine, struct io_op *op)
{
	if (op->at_once && (op->kind == IO_READ || op->kind == IO_WRITE)) {
		io_op_execute(engine, op);
		return;
	}
	struct io_uring_sqe *sqe = next_sqe((struct uring_engine *)engine);

	switch (op->kind) {
	case IO_READ:
	case IO_WRITE:
		prepare_transfer(sqe, op);
		break;
	case IO_FLUSH:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case IO_DISCARD:
		/* io_uring_prep_fallocate() has other types in each release of liburing; this is what it does. */
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, op->fd, (const void *)(uintptr_t)op->len_bytes,
				 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, op->offset_bytes);
		break;
	}
	io_uring_sqe_set_data64(sqe, (uintptr_t)op);
}

static void tell_watch(struct uring_engine *uring, struct io_watch *watch, const struct io_uring_cqe *cqe)
{
	bool armed = cqe->flags & IORING_CQE_F_MORE;

	if (watch->leaving) {
		if (!armed)
			watch->gone(watch);
		return;
	}
	/* The kernel may end a multishot poll at any time. */
	if (!armed)
		arm(uring, watch);
	watch->ready(watch);
}

static void tell(struct uring_engine *uring, const struct io_uring_cqe *cqe)
{
	const uintptr_t data = (uintptr_t)cqe->user_data;

	if (data & IS_WATCH) {
		tell_watch(uring, (struct io_watch *)(data & ~(uintptr_t)IS_WATCH), cqe);
	} else if (data) {
		struct io_op *op = (struct io_op *)data;

		op->result = cqe->res;
		op->done(op);
	}
}

static void turn(struct io_engine *engine, int64_t timeout_ns, unsigned int n_wanted)
{
	struct uring_engine *uring = (struct uring_engine *)engine;
	struct io_uring_cqe batch[BATCH_MAX], *cqe;
	unsigned int head, n = 0;
	bool any = io_engine_run_finished(engine) || engine->finished;
	struct __kernel_timespec limit = { timeout_ns / NS_PER_S, timeout_ns % NS_PER_S };

	/* With deferred task work (DEFER_TASKRUN) only an enter that asks for completions gets them. */
	if (any)
		(void)io_uring_submit_and_get_events(&uring->ring);
	else if (timeout_ns != IO_NO_LIMIT)
		(void)io_uring_submit_and_wait_timeout(&uring->ring, &cqe, n_wanted, &limit, NULL);
	else
		(void)io_uring_submit_and_wait(&uring->ring, 1);
	/* Copied: what is called may fill the queues again. */
	io_uring_for_each_cqe(&uring->ring, head, cqe) {
		batch[n++] = *cqe;
		if (n == BATCH_MAX)
			break;
	}
	io_uring_cq_advance(&uring->ring, n);
	for (unsigned int i = 0; i < n; i++)
		tell(uring, &batch[i]);
}

static void free_engine(struct io_engine *engine)
{
	struct uring_engine *uring = (struct uring_engine *)engine;

	io_uring_queue_exit(&uring->ring);
	free(uring);
}

static const struct io_engine_ops OPS = { "uring", SANDBOX_IO, watch, unwatch, submit, turn, free_engine };

/* 0 or a negative errno. Not every liburing has the functions for it. */
static int restrict_ring(const struct io_uring *ring)
{
	static const uint8_t operations[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
		IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL,
	};
	struct io_uring_restriction rules[sizeof(operations) + 1] = {
		{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_RING_FDS },
	};

	for (size_t i = 0; i < sizeof(operations); i++)
		rules[i + 1] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = operations[i] };
	if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, rules, sizeof(rules) / sizeof(rules[0])) != 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) != 0)
		return -errno;
	return 0;
}

struct io_engine *io_engine_uring_new(void)
{
	/* Linux 6.1 knows all; what is older gets less. */
	static const unsigned int flags[] = { IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
					      IORING_SETUP_COOP_TASKRUN, 0 };
	struct uring_engine *uring = calloc(1, sizeof(*uring));
	int rc = -EINVAL;

	if (!uring)
		return NULL;
	io_engine_init(&uring->base, &OPS);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && rc == -EINVAL; i++) {
		struct io_uring_params params = { .flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED, .cq_entries = CQ_ENTRIES };

		rc = io_uring_queue_init_params(SQ_ENTRIES, &uring->ring, &params);
	}
	if (rc == 0) {
		rc = restrict_ring(&uring->ring);
		if (rc < 0)
			io_uring_queue_exit(&uring->ring);
	}
	if (rc < 0) {
		free(uring);
		errno = -rc;
		return NULL;
	}
	/* Spares each call the look-up of the ring's descriptor; without (before Linux 5.18) all works as well. */
	(void)io_uring_register_ring_fd(&uring->ring);
	return &uring->base;
}
