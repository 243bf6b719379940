// SPDX-License-Identifier: MIT
#include "backend/block_queue.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/guest_memory.h"
#include "xen/domid.h"
#include "xen/grant.h"

/* A file that keeps saying EAGAIN or moves single bytes is answered with an error after so many attempts. */
#define ATTEMPTS_MAX 1024u

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* A request in flight, in one allocation with its grants and iovecs. */
struct transfer {
	struct io_op op;
	struct block_queue *queue;
	uint64_t id;
	uint8_t operation;
	bool then_write; /* it is the flush in front of a write */
	bool read_only;  /* how the grants are held */
	unsigned int n_refs;
	unsigned int attempts;
	uint64_t left_bytes;
	uint32_t *refs;
	struct iovec iov[];
};

static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

/* Answers */

static void tell_if_stopped(struct block_connection *connection)
{
	if (!connection->stopping || connection->told_stopped)
		return;
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		const struct block_queue *queue = &connection->queues[i];

		if (queue->in_flight || queue->watched || queue->finish.queued)
			return;
	}
	connection->told_stopped = true;
	/* From here on it is the main thread's. */
	io_thread_reply(connection->target->io, &connection->stopped_reply);
}

static void finish(struct io_task *task)
{
	struct block_queue *queue = CONTAINER(task, struct block_queue, finish);

	if (block_ring_publish(&queue->ring)) {
		queue->connection->counters.notifications++;
		signal_fd(queue->notify_fd);
	}
	tell_if_stopped(queue->connection);
}

static void answer(struct block_queue *queue, uint64_t id, uint8_t operation, int16_t status)
{
	block_ring_answer(&queue->ring, id, operation, status);
	io_thread_defer(queue->connection->target->io, &queue->finish);
}

static void refuse(struct block_queue *queue, const struct block_request *request, int16_t status)
{
	queue->connection->counters.refused++;
	answer(queue, request->id, request->operation, status);
}

/* Grants */

static void release_grants(struct transfer *transfer)
{
	const struct block_target *target = transfer->queue->connection->target;

	if (transfer->n_refs == 0)
		return;
	pthread_mutex_lock(target->grants_lock);
	for (unsigned int i = 0; i < transfer->n_refs; i++)
		grant_release(target->grants, transfer->refs[i], transfer->read_only);
	pthread_mutex_unlock(target->grants_lock);
	transfer->n_refs = 0;
}

/* The host address of a granted page; NULL: no such grant, or not of RAM. A claim that succeeded is remembered. */
static uint8_t *claim_page(const struct block_target *target, struct transfer *transfer, uint32_t ref)
{
	struct grant_page page;

	if (grant_acquire(target->grants, ref, BACKEND_DOMID, transfer->read_only, true, &page) != GNTST_okay)
		return NULL;
	transfer->refs[transfer->n_refs++] = ref;
	if (page.gfn > UINT64_MAX / BLOCK_PAGE_BYTES - 1)
		return NULL;
	return guest_memory_span(target->memory, page.gfn * BLOCK_PAGE_BYTES, BLOCK_PAGE_BYTES);
}

/* Pages that lie side by side become one piece: fewer iovecs are most of what is saved with O_DIRECT. */
static void add_piece(struct transfer *transfer, uint8_t *base, uint32_t len_bytes)
{
	struct iovec *last = transfer->op.n_iov > 0 ? &transfer->iov[transfer->op.n_iov - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == base)
		last->iov_len += len_bytes;
	else
		transfer->iov[transfer->op.n_iov++] = (struct iovec){ base, len_bytes };
	transfer->left_bytes += len_bytes;
}

static bool claim_segments(const struct block_target *target, struct transfer *transfer, const uint8_t *segments,
			   unsigned int n_segments)
{
	bool ok = true;

	pthread_mutex_lock(target->grants_lock);
	for (unsigned int i = 0; ok && i < n_segments; i++) {
		struct block_segment segment;
		uint8_t *page = NULL;

		if (block_segment_decode(segments + (size_t)i * BLOCK_SEGMENT_BYTES, &segment))
			page = claim_page(target, transfer, segment.ref);
		ok = page != NULL;
		if (ok)
			add_piece(transfer, page + segment.offset_bytes, segment.len_bytes);
	}
	pthread_mutex_unlock(target->grants_lock);
	return ok;
}

/* Segments in granted pages, copied once: what such a page holds later, itself perhaps, does not matter. */
static bool copy_indirect(const struct block_target *target, const struct block_request *request, uint8_t *segments)
{
	const unsigned int per_page = BLOCK_PAGE_BYTES / BLOCK_SEGMENT_BYTES;
	bool ok = true;

	pthread_mutex_lock(target->grants_lock);
	for (unsigned int done = 0; ok && done < request->n_segments; done += per_page) {
		const uint32_t ref = request->indirect_ref[done / per_page];
		unsigned int n = request->n_segments - done < per_page ? request->n_segments - done : per_page;
		struct grant_page page;

		ok = grant_acquire(target->grants, ref, BACKEND_DOMID, true, true, &page) == GNTST_okay;
		if (!ok)
			break;
		ok = page.gfn <= UINT64_MAX / BLOCK_PAGE_BYTES - 1 &&
		     guest_memory_read(target->memory, page.gfn * BLOCK_PAGE_BYTES, segments + (size_t)done * BLOCK_SEGMENT_BYTES,
				       (size_t)n * BLOCK_SEGMENT_BYTES);
		grant_release(target->grants, ref, true);
	}
	pthread_mutex_unlock(target->grants_lock);
	return ok;
}

/* Transfers */

static void submit(struct transfer *transfer)
{
	struct io_engine *engine = io_thread_engine(transfer->queue->connection->target->io);

	engine->ops->submit(engine, &transfer->op);
}

static void end_transfer(struct transfer *transfer, int16_t status)
{
	struct block_queue *queue = transfer->queue;

	/* Before the answer: the guest takes its pages back when it sees that. */
	release_grants(transfer);
	queue->in_flight--;
	answer(queue, transfer->id, transfer->operation, status);
	free(transfer);
}

static void fail_transfer(struct transfer *transfer, int error)
{
	struct block_connection *connection = transfer->queue->connection;
	const struct block_target *target = connection->target;
	bool unsupported = error == EOPNOTSUPP && transfer->op.kind == IO_DISCARD;

	connection->counters.failed++;
	if (target->failed && !unsupported)
		target->failed(target->opaque, transfer->op.kind, error);
	end_transfer(transfer, unsupported ? BLKIF_RSP_EOPNOTSUPP : BLKIF_RSP_ERROR);
}

/* A part was moved: the rest goes on behind it. */
static void advance(struct transfer *transfer, uint64_t moved_bytes)
{
	struct io_op *op = &transfer->op;

	transfer->left_bytes -= moved_bytes;
	op->offset_bytes += moved_bytes;
	while (moved_bytes > 0 && moved_bytes >= op->iov->iov_len) {
		moved_bytes -= op->iov->iov_len;
		op->iov++;
		op->n_iov--;
	}
	if (moved_bytes > 0) {
		op->iov->iov_base = (uint8_t *)op->iov->iov_base + moved_bytes;
		op->iov->iov_len -= moved_bytes;
	}
}

static void on_done(struct io_op *op)
{
	struct transfer *transfer = CONTAINER(op, struct transfer, op);
	bool moves = op->kind == IO_READ || op->kind == IO_WRITE;

	if (op->result == -EINTR || op->result == -EAGAIN) {
		if (++transfer->attempts < ATTEMPTS_MAX)
			submit(transfer);
		else
			fail_transfer(transfer, EIO);
	} else if (op->result < 0) {
		fail_transfer(transfer, (int)-op->result);
	} else if (op->kind == IO_FLUSH && transfer->then_write) {
		op->kind = IO_WRITE;
		submit(transfer);
	} else if (!moves || (uint64_t)op->result == transfer->left_bytes) {
		end_transfer(transfer, BLKIF_RSP_OKAY);
	} else if (op->result == 0 || (uint64_t)op->result > transfer->left_bytes || ++transfer->attempts == ATTEMPTS_MAX) {
		/* The file ends before the disk does: it was truncated. Zeros would look like data. */
		fail_transfer(transfer, EIO);
	} else {
		advance(transfer, (uint64_t)op->result);
		submit(transfer);
	}
}

static struct transfer *transfer_new(struct block_queue *queue, const struct block_request *request)
{
	size_t n = request->n_segments;
	struct transfer *transfer = malloc(sizeof(*transfer) + n * (sizeof(struct iovec) + sizeof(uint32_t)));

	if (!transfer)
		return NULL;
	*transfer = (struct transfer){
		.op = { .fd = queue->connection->target->fd, .at_once = queue->connection->target->at_once,
			.offset_bytes = request->sector * BLOCK_SECTOR_BYTES, .iov = transfer->iov, .done = on_done },
		.queue = queue,
		.id = request->id,
		.operation = request->operation,
		.read_only = request->action != BLKIF_OP_READ, /* a read writes to the guest's pages */
		.refs = (uint32_t *)(void *)(transfer->iov + n),
	};
	return transfer;
}

/* FALSE: what the guest asked for cannot be. */
static bool prepare(const struct block_target *target, struct transfer *transfer, const struct block_request *request,
		    const uint8_t *slot)
{
	uint8_t indirect[BLOCK_SEGMENTS_MAX * BLOCK_SEGMENT_BYTES];
	const uint8_t *segments = block_request_segment(transfer->queue->ring.layout, slot, 0);

	switch (request->action) {
	case BLKIF_OP_DISCARD:
		transfer->op.kind = IO_DISCARD;
		transfer->op.len_bytes = request->n_sectors * BLOCK_SECTOR_BYTES;
		return true;
	case BLKIF_OP_FLUSH_DISKCACHE:
		transfer->op.kind = target->ignore_flush && request->n_segments > 0 ? IO_WRITE : IO_FLUSH;
		transfer->then_write = request->n_segments > 0;
		break;
	default:
		transfer->op.kind = request->action == BLKIF_OP_READ ? IO_READ : IO_WRITE;
		break;
	}
	if (request->indirect) {
		segments = indirect;
		if (!copy_indirect(target, request, indirect))
			return false;
	}
	return claim_segments(target, transfer, segments, request->n_segments) &&
	       block_range_is_good(&target->limits, request->sector, transfer->left_bytes / BLOCK_SECTOR_BYTES);
}

static void start_request(struct block_queue *queue, const uint8_t *slot)
{
	const struct block_target *target = queue->connection->target;
	struct block_counters *counters = &queue->connection->counters;
	struct block_request request;
	int16_t status = block_request_decode(queue->ring.layout, slot, &target->limits, &request);

	counters->requests++;
	if (status != BLKIF_RSP_OKAY) {
		refuse(queue, &request, status);
		return;
	}
	if (request.action == BLKIF_OP_FLUSH_DISKCACHE && target->ignore_flush && request.n_segments == 0) {
		answer(queue, request.id, request.operation, BLKIF_RSP_OKAY);
		return;
	}
	struct transfer *transfer = transfer_new(queue, &request);
	if (!transfer || !prepare(target, transfer, &request, slot)) {
		if (transfer)
			release_grants(transfer);
		free(transfer);
		refuse(queue, &request, BLKIF_RSP_ERROR);
		return;
	}
	counters->segments += request.n_segments;
	counters->iovecs += transfer->op.n_iov;
	counters->bytes += transfer->left_bytes;
	queue->in_flight++;
	submit(transfer);
}

/* The ring */

static void break_connection(struct block_connection *connection, const char *why)
{
	if (connection->broken)
		return;
	connection->broken = why;
	io_thread_reply(connection->target->io, &connection->broken_reply);
}

static void on_kick(struct io_watch *watch)
{
	struct block_queue *queue = CONTAINER(watch, struct block_queue, kick);
	struct block_connection *connection = queue->connection;
	unsigned int budget = queue->ring.n_slots;
	uint8_t slot[BLOCK_SLOT_BYTES_MAX];

	connection->counters.kicks++;
	while (!connection->stopping && !connection->broken) {
		switch (block_ring_take(&queue->ring, slot)) {
		case BLOCK_RING_TAKEN:
			start_request(queue, slot);
			/* Others have their turn: what is left comes as if the guest had sent once more. */
			if (--budget == 0) {
				signal_fd(watch->fd);
				return;
			}
			break;
		case BLOCK_RING_EMPTY:
			if (!block_ring_arm(&queue->ring))
				return;
			break;
		default:
			break_connection(connection, "the ring has more requests than slots");
			return;
		}
	}
}

static void on_kick_gone(struct io_watch *watch)
{
	struct block_queue *queue = CONTAINER(watch, struct block_queue, kick);

	queue->watched = false;
	tell_if_stopped(queue->connection);
}

static void start(struct io_task *task)
{
	struct block_connection *connection = CONTAINER(task, struct block_connection, start);
	struct io_engine *engine = io_thread_engine(connection->target->io);

	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct block_queue *queue = &connection->queues[i];

		if (engine->ops->watch(engine, &queue->kick) != 0) {
			break_connection(connection, "the host cannot watch the event channel");
			return;
		}
		queue->watched = true;
		/* The guest may have put requests there, and sent, before anybody listened. */
		on_kick(&queue->kick);
	}
}

static void stop(struct io_task *task)
{
	struct block_connection *connection = CONTAINER(task, struct block_connection, stop);
	struct io_engine *engine = io_thread_engine(connection->target->io);

	connection->stopping = true;
	for (unsigned int i = 0; i < connection->n_queues; i++)
		if (connection->queues[i].watched)
			engine->ops->unwatch(engine, &connection->queues[i].kick);
	tell_if_stopped(connection);
}

void block_connection_start(struct block_connection *connection)
{
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct block_queue *queue = &connection->queues[i];

		queue->connection = connection;
		queue->finish.run = finish;
		queue->kick.ready = on_kick;
		queue->kick.gone = on_kick_gone;
	}
	connection->start.run = start;
	connection->stop.run = stop;
	io_thread_post(connection->target->io, &connection->start);
}

void block_connection_stop(struct block_connection *connection)
{
	io_thread_post(connection->target->io, &connection->stop);
}
