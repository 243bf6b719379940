// SPDX-License-Identifier: MIT
#include "backend/block_queue.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block_overlay.h"
#include "backend/ring_claims.h"
#include "inject/inject.h"
#include "vmm/guest_memory.h"
#include "xen/domid.h"
#include "xen/grant.h"

/* A file that keeps saying EAGAIN or moves single bytes is answered with an error after so many attempts. */
#define ATTEMPTS_MAX 1024u

/* A server that has not answered so long after the end of a connection does not hold up the end of the domain. */
#define LAST_PATIENCE_NS (10 * UINT64_C(1000000000))

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* What a request without indirect segments may have. */
#define SPARE_SEGMENTS BLKIF_MAX_SEGMENTS_PER_REQUEST

/* A request in flight, in one allocation with its grants and iovecs. */
struct transfer {
	struct io_op op;
	struct block_queue *queue;
	uint64_t id;
	uint8_t operation, action; /* as in struct block_request */
	bool then_write; /* it is the flush in front of a write */
	bool read_only;  /* how the grants are held */
	unsigned int n_refs;
	unsigned int attempts;
	struct transfer *next; /* of those that wait for room, or of the spare ones */
	size_t n_room;         /* segments */
	struct transfer *next_late;
	struct io_timer late;
	int planned_error; /* errno with which it fails, in place of going to the file; 0 */
	uint64_t measured_from_ns; /* 0: it is not the one that is measured */
	uint64_t left_bytes;
	uint64_t piece_bytes; /* of them, what the op asks for */
	/* What was cut off the op's iovecs for this piece. */
	size_t cut_bytes;
	unsigned int cut_iovs;
	uint32_t *refs;
	struct iovec iov[];
};

/* syscalls(main, io, io_sync): write */
static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

/* There is one writer, and the main thread may look. */
static void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* Answers */

static void tell_stopped(void *opaque)
{
	struct block_connection *connection = opaque;

	/* From here on it is the main thread's. */
	io_thread_reply(connection->target->io, &connection->stopped_reply);
}

static void tell_if_stopped(struct block_connection *connection)
{
	struct io_remote *remote = connection->target->remote;

	if (!connection->stopping || connection->stopped)
		return;
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		const struct block_queue *queue = &connection->queues[i];

		if (queue->in_flight > queue->n_kept || queue->watched || queue->finish.queued)
			return;
	}
	connection->stopped = true;
	for (struct transfer *spare = connection->spare; spare; spare = connection->spare) {
		connection->spare = spare->next;
		free(spare);
	}
	io_thread_clear_timer(connection->target->io, &connection->last_patience);
	if (remote && remote->engine)
		remote->ops->detach(remote, tell_stopped, connection);
	else
		tell_stopped(connection);
}

static void take_requests(struct block_queue *queue, bool is_overdue);

static void be_patient(struct block_queue *queue)
{
	const struct block_connection *connection = queue->connection;
	const uint64_t due_ns = block_patience_due_ns(&queue->patience, connection->service_ns);

	io_thread_clear_timer(connection->target->io, &queue->patience_end);
	if (due_ns != UINT64_MAX && !connection->stopping && !connection->broken)
		io_thread_set_timer(connection->target->io, &queue->patience_end, due_ns);
}

static void publish(struct block_queue *queue)
{
	queue->patience.untold_ns = 0;
	if (block_ring_publish(&queue->ring)) {
		count(&queue->connection->counters.notifications, 1);
		signal_fd(queue->notify_fd);
	}
}

static unsigned int n_untold(const struct block_queue *queue)
{
	return queue->ring.answered - queue->ring.published;
}

/* Of a server's the completions come as bytes. */
static unsigned int n_until_told(const struct io_timer *timer)
{
	const struct block_queue *queue = CONTAINER(timer, const struct block_queue, patience_end);

	return queue->connection->target->remote ? 1 : block_patience_n_until_told(n_untold(queue), queue->moving);
}

static void tell_or_wait(struct block_queue *queue)
{
	const struct block_connection *connection = queue->connection;

	if (connection->stopping || connection->broken || !block_patience_may_wait(n_untold(queue), queue->moving))
		publish(queue);
	else if (!queue->patience.untold_ns && n_untold(queue) > 0)
		queue->patience.untold_ns = io_thread_now_ns();
}

static void finish(struct io_task *task)
{
	struct block_queue *queue = CONTAINER(task, struct block_queue, finish);

	tell_or_wait(queue);
	if (!queue->patience.asked)
		take_requests(queue, false);
	be_patient(queue);
	tell_if_stopped(queue->connection);
}

static void answer(struct block_queue *queue, uint64_t id, uint8_t operation, int16_t status)
{
	block_ring_answer(&queue->ring, id, operation, status);
	io_thread_defer(queue->connection->target->io, &queue->finish);
}

static void refuse(struct block_queue *queue, const struct block_request *request, int16_t status)
{
	count(&queue->connection->counters.refused, 1);
	answer(queue, request->id, request->operation, status);
}

/* Grants */

static void release_grants(struct transfer *transfer)
{
	const struct block_target *target = transfer->queue->connection->target;

	if (transfer->n_refs == 0)
		return;
	pthread_mutex_lock(target->access->grants_lock);
	for (unsigned int i = 0; i < transfer->n_refs; i++)
		grant_release(target->access->grants, transfer->refs[i], transfer->read_only);
	pthread_mutex_unlock(target->access->grants_lock);
	transfer->n_refs = 0;
}

/* The host address of a granted page; NULL: no such grant, or not of RAM. A claim that succeeded is remembered. */
static uint8_t *claim_page(const struct block_target *target, struct transfer *transfer, uint32_t ref)
{
	struct grant_page page;

	if (grant_acquire(target->access->grants, ref, BACKEND_DOMID, transfer->read_only, true, &page) != GNTST_okay)
		return NULL;
	transfer->refs[transfer->n_refs++] = ref;
	if (page.gfn > UINT64_MAX / BLOCK_PAGE_BYTES - 1)
		return NULL;
	return guest_memory_span(target->access->memory, page.gfn * BLOCK_PAGE_BYTES, BLOCK_PAGE_BYTES);
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

	pthread_mutex_lock(target->access->grants_lock);
	for (unsigned int i = 0; ok && i < n_segments; i++) {
		struct block_segment segment;
		uint8_t *page = NULL;

		if (block_segment_decode(segments + (size_t)i * BLOCK_SEGMENT_BYTES, &segment))
			page = claim_page(target, transfer, segment.ref);
		ok = page != NULL;
		if (ok)
			add_piece(transfer, page + segment.offset_bytes, segment.len_bytes);
	}
	pthread_mutex_unlock(target->access->grants_lock);
	return ok;
}

/* Segments in granted pages, copied once: what such a page holds later, itself perhaps, does not matter. */
static bool copy_indirect(const struct block_target *target, const struct block_request *request, uint8_t *segments)
{
	const struct ring_access *access = target->access;
	const unsigned int per_page = BLOCK_PAGE_BYTES / BLOCK_SEGMENT_BYTES;
	bool ok = true;

	pthread_mutex_lock(access->grants_lock);
	for (unsigned int done = 0; ok && done < request->n_segments; done += per_page) {
		const uint32_t ref = request->indirect_ref[done / per_page];
		unsigned int n = request->n_segments - done < per_page ? request->n_segments - done : per_page;
		struct grant_page page;

		ok = grant_acquire(access->grants, ref, BACKEND_DOMID, true, true, &page) == GNTST_okay;
		if (!ok)
			break;
		ok = page.gfn <= UINT64_MAX / BLOCK_PAGE_BYTES - 1 &&
		     guest_memory_read(access->memory, page.gfn * BLOCK_PAGE_BYTES, segments + (size_t)done * BLOCK_SEGMENT_BYTES,
				       (size_t)n * BLOCK_SEGMENT_BYTES);
		grant_release(access->grants, ref, true);
	}
	pthread_mutex_unlock(access->grants_lock);
	return ok;
}

/* Transfers */

/* Most are small, and malloc() is dear when many are given back at once. */
static void transfer_free(struct transfer *transfer)
{
	struct block_connection *connection = transfer->queue->connection;

	if (transfer->n_room > SPARE_SEGMENTS) {
		free(transfer);
		return;
	}
	transfer->next = connection->spare;
	connection->spare = transfer;
}

/* The op's iovecs end after so many bytes, until they are made whole again. */
static void cut_iovecs(struct transfer *transfer, uint64_t len_bytes)
{
	struct io_op *op = &transfer->op;
	unsigned int n = 0;

	while (len_bytes > op->iov[n].iov_len)
		len_bytes -= op->iov[n++].iov_len;
	transfer->cut_bytes = op->iov[n].iov_len - len_bytes;
	transfer->cut_iovs = op->n_iov - n - 1;
	op->iov[n].iov_len = len_bytes;
	op->n_iov = n + 1;
}

static void make_iovecs_whole(struct transfer *transfer)
{
	struct io_op *op = &transfer->op;

	if (op->n_iov > 0)
		op->iov[op->n_iov - 1].iov_len += transfer->cut_bytes;
	op->n_iov += transfer->cut_iovs;
	transfer->cut_bytes = 0;
	transfer->cut_iovs = 0;
}

/* Which file has it. Of a read that lies in base and overlay by turns, the first piece; the rest goes on behind it. */
static void aim(const struct block_target *target, struct transfer *transfer)
{
	struct io_op *op = &transfer->op;
	bool in_overlay = true;

	transfer->piece_bytes = transfer->left_bytes;
	if (target->overlay && op->kind == IO_READ) {
		/* A read that ended within a sector goes on there; both ends of the disk are whole sectors. */
		const uint64_t sector = op->offset_bytes / BLOCK_SECTOR_BYTES, behind = op->offset_bytes % BLOCK_SECTOR_BYTES;
		uint64_t n = block_overlay_run(target->overlay, sector, (behind + transfer->left_bytes) / BLOCK_SECTOR_BYTES, &in_overlay);

		transfer->piece_bytes = n * BLOCK_SECTOR_BYTES - behind;
		if (transfer->piece_bytes < transfer->left_bytes)
			cut_iovecs(transfer, transfer->piece_bytes);
	}
	in_overlay = in_overlay && target->overlay;
	op->fd = in_overlay ? target->overlay_fd : target->fd;
	op->remote = in_overlay ? NULL : target->remote;
	op->at_once = in_overlay ? target->overlay_at_once : target->at_once;
}

static void submit(struct transfer *transfer)
{
	const struct block_target *target = transfer->queue->connection->target;
	struct io_engine *engine = io_thread_engine(target->io);

	aim(target, transfer);
	if (transfer->op.remote)
		transfer->op.remote->ops->submit(transfer->op.remote, &transfer->op);
	else
		engine->ops->submit(engine, &transfer->op);
}

/* What of it was written is in the overlay now: whole sectors, as a part of one is followed by its rest. */
static void mark_written(const struct transfer *transfer, uint64_t len_bytes)
{
	const struct block_target *target = transfer->queue->connection->target;
	const uint64_t first = transfer->op.offset_bytes / BLOCK_SECTOR_BYTES;

	if (target->overlay)
		block_overlay_mark(target->overlay, first,
				   (transfer->op.offset_bytes + len_bytes) / BLOCK_SECTOR_BYTES - first);
}

static bool is_moving(const struct transfer *transfer)
{
	return transfer->action == BLKIF_OP_READ || transfer->action == BLKIF_OP_WRITE;
}

static void fail_transfer(struct transfer *transfer, int error);

static void go_on(struct transfer *transfer)
{
	if (transfer->planned_error)
		fail_transfer(transfer, transfer->planned_error);
	else
		submit(transfer);
}

static void on_late(struct io_timer *timer)
{
	struct transfer *transfer = CONTAINER(timer, struct transfer, late);
	struct transfer **link = &transfer->queue->connection->late;

	while (*link != transfer)
		link = &(*link)->next_late;
	*link = transfer->next_late;
	go_on(transfer);
}

/* --inject: it fails, or waits, or both. FALSE: nothing is done to it. */
static bool is_touched(struct transfer *transfer)
{
	struct block_connection *connection = transfer->queue->connection;
	const struct inject_fate fate = inject_point_pass(connection->target->inject, 1u << transfer->op.kind);

	if (!fate.error && !fate.delay_us)
		return false;
	transfer->planned_error = fate.error;
	if (!fate.delay_us) {
		go_on(transfer);
		return true;
	}
	transfer->late.run = on_late;
	transfer->next_late = connection->late;
	connection->late = transfer;
	io_thread_set_timer(connection->target->io, &transfer->late, io_thread_now_ns() + fate.delay_us * 1000);
	return true;
}

static void note_quiet(struct block_queue *queue)
{
	const bool is_quiet = queue->in_flight > 0 && queue->moving < BLOCK_TELL_NOT_FROM;

	if (is_quiet != queue->is_quiet)
		io_thread_count_quiet(queue->connection->target->io, is_quiet ? 1 : -1);
	queue->is_quiet = is_quiet;
}

static void begin_transfer(struct transfer *transfer)
{
	struct block_queue *queue = transfer->queue;

	queue->in_flight++;
	if (is_moving(transfer)) {
		queue->moving++;
		if (!queue->connection->measuring) {
			queue->connection->measuring = true;
			transfer->measured_from_ns = io_thread_now_ns();
		}
	}
	note_quiet(queue);
	if (!queue->connection->target->inject || !is_touched(transfer))
		submit(transfer);
}

static void end_measurement(struct transfer *transfer)
{
	struct block_connection *connection = transfer->queue->connection;
	const uint64_t took_ns = io_thread_now_ns() - transfer->measured_from_ns;

	connection->measuring = false;
	connection->service_ns = connection->service_ns ? (connection->service_ns * 7 + took_ns) / 8 : took_ns;
}

static void end_transfer(struct transfer *transfer, int16_t status)
{
	struct block_queue *queue = transfer->queue;

	if (transfer->measured_from_ns)
		end_measurement(transfer);
	queue->moving -= is_moving(transfer);
	/* Before the answer: the guest takes its pages back when it sees that. */
	release_grants(transfer);
	queue->in_flight--;
	note_quiet(queue);
	answer(queue, transfer->id, transfer->operation, status);
	transfer_free(transfer);
}

/* The guest has no answer yet, so it knows nothing of it; whoever makes room says so. */
static void keep_transfer(struct transfer *transfer)
{
	struct block_connection *connection = transfer->queue->connection;

	/* How long that lasts says nothing of the file. */
	if (transfer->measured_from_ns)
		connection->measuring = false;
	transfer->measured_from_ns = 0;
	transfer->next = connection->kept;
	connection->kept = transfer;
	transfer->queue->n_kept++;
	if (!connection->told_no_room)
		io_thread_reply(connection->target->io, &connection->no_room_reply);
	connection->told_no_room = true;
	tell_if_stopped(connection);
}

static void fail_transfer(struct transfer *transfer, int error)
{
	struct block_connection *connection = transfer->queue->connection;
	const struct block_target *target = connection->target;

	if (error == ENOSPC && target->keep_for_room && (!connection->stopping || connection->keeps)) {
		keep_transfer(transfer);
		return;
	}
	bool unsupported = error == EOPNOTSUPP && transfer->op.kind == IO_DISCARD;

	count(&connection->counters.failed, 1);
	if (error == ENOTCONN && target->remote) {
		if (!connection->told_gone)
			io_thread_reply(target->io, &connection->gone_reply);
		connection->told_gone = true;
	} else if (!unsupported && !connection->failure) {
		connection->failure = error;
		connection->failed_kind = transfer->op.kind;
		io_thread_reply(target->io, &connection->failed_reply);
	}
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

	make_iovecs_whole(transfer);
	if (op->kind == IO_WRITE && op->result > 0 && (uint64_t)op->result <= transfer->left_bytes)
		mark_written(transfer, (uint64_t)op->result);
	if (op->kind == IO_DISCARD && op->result >= 0)
		mark_written(transfer, op->len_bytes);
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
	} else if (op->result == 0 || (uint64_t)op->result > transfer->piece_bytes ||
		   ((uint64_t)op->result < transfer->piece_bytes && ++transfer->attempts == ATTEMPTS_MAX)) {
		/* The file ends before the disk does: it was truncated. Zeros would look like data. */
		fail_transfer(transfer, EIO);
	} else {
		advance(transfer, (uint64_t)op->result);
		submit(transfer);
	}
}

static struct transfer *transfer_new(struct block_queue *queue, const struct block_request *request)
{
	struct block_connection *connection = queue->connection;
	const size_t n = request->n_segments > SPARE_SEGMENTS ? request->n_segments : SPARE_SEGMENTS;
	struct transfer *transfer = connection->spare;

	if (n == SPARE_SEGMENTS && transfer)
		connection->spare = transfer->next;
	else
		transfer = malloc(sizeof(*transfer) + n * (sizeof(struct iovec) + sizeof(uint32_t)));
	if (!transfer)
		return NULL;
	*transfer = (struct transfer){
		.n_room = n,
		.op = { .offset_bytes = request->sector * BLOCK_SECTOR_BYTES, .iov = transfer->iov, .done = on_done },
		.queue = queue,
		.id = request->id,
		.operation = request->operation,
		.action = request->action,
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
		return !target->overlay || block_overlay_reserve(target->overlay, request->sector, request->n_sectors, true);
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
	if (!claim_segments(target, transfer, segments, request->n_segments))
		return false;
	const uint64_t n_sectors = transfer->left_bytes / BLOCK_SECTOR_BYTES;

	return block_range_is_good(&target->limits, request->sector, n_sectors) &&
	       (!target->overlay || transfer->op.kind == IO_READ ||
		block_overlay_reserve(target->overlay, request->sector, n_sectors, false));
}

static void start_request(struct block_queue *queue, const uint8_t *slot)
{
	const struct block_target *target = queue->connection->target;
	struct block_counters *counters = &queue->connection->counters;
	struct block_request request;
	int16_t status = block_request_decode(queue->ring.layout, slot, &target->limits, &request);

	count(&counters->requests, 1);
	if (status == BLKIF_RSP_OKAY && target->ejected)
		status = BLKIF_RSP_ERROR;
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
		if (transfer) {
			release_grants(transfer);
			transfer_free(transfer);
		}
		refuse(queue, &request, BLKIF_RSP_ERROR);
		return;
	}
	count(&counters->segments, request.n_segments);
	count(&counters->iovecs, transfer->op.n_iov);
	count(&counters->bytes, transfer->left_bytes);
	begin_transfer(transfer);
}

/* The ring */

static void break_connection(struct block_connection *connection, const char *why)
{
	if (connection->broken)
		return;
	connection->broken = why;
	io_thread_reply(connection->target->io, &connection->broken_reply);
}

/* TRUE: there is one already. */
static bool ask_for_event(struct block_queue *queue, bool is_overdue)
{
	queue->patience.asked = block_patience_asks(queue->moving, is_overdue);
	queue->patience.looked_ns = io_thread_now_ns();
	return queue->patience.asked && block_ring_arm(&queue->ring);
}

/* is_overdue: if there is nothing, the guest is asked for an event. */
static void take_requests(struct block_queue *queue, bool is_overdue)
{
	struct block_connection *connection = queue->connection;
	unsigned int budget = queue->ring.n_slots;
	uint8_t slot[BLOCK_SLOT_BYTES_MAX];

	while (!connection->stopping && !connection->broken) {
		switch (block_ring_take(&queue->ring, slot)) {
		case BLOCK_RING_TAKEN:
			start_request(queue, slot);
			is_overdue = false;
			/* Others have their turn: what is left comes as if the guest had sent once more. */
			if (--budget == 0) {
				signal_fd(queue->kick.fd);
				return;
			}
			break;
		case BLOCK_RING_EMPTY:
			if (!ask_for_event(queue, is_overdue))
				return;
			break;
		default:
			break_connection(connection, "the ring has more requests than slots");
			return;
		}
	}
}

static void on_kick(struct io_watch *watch)
{
	struct block_queue *queue = CONTAINER(watch, struct block_queue, kick);

	count(&queue->connection->counters.kicks, 1);
	/* Of a disk with little to do: it does not wait for the completions of another. */
	if (queue->moving < BLOCK_TELL_NOT_FROM)
		io_thread_hurry(queue->connection->target->io);
	take_requests(queue, false);
	be_patient(queue);
}

/* Nothing has completed for some time, or not enough: the guest is told, or asked for an event. */
static void on_patience_end(struct io_timer *timer)
{
	struct block_queue *queue = CONTAINER(timer, struct block_queue, patience_end);
	const uint64_t before_ns = io_thread_now_ns() - block_patience_ns(queue->connection->service_ns);

	if (queue->patience.untold_ns && queue->patience.untold_ns <= before_ns)
		publish(queue);
	if (!queue->patience.asked)
		take_requests(queue, queue->patience.looked_ns <= before_ns);
	be_patient(queue);
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
	struct io_remote *remote = connection->target->remote;

	if (remote && !remote->ops->attach(remote, engine)) {
		break_connection(connection, "the host cannot watch the connection to the disk's server");
		return;
	}
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

static struct transfer *take_kept(struct block_connection *connection)
{
	struct transfer *kept = connection->kept;

	connection->kept = NULL;
	connection->told_no_room = false;
	for (unsigned int i = 0; i < connection->n_queues; i++)
		connection->queues[i].n_kept = 0;
	return kept;
}

static void retry(struct io_task *task)
{
	struct block_connection *connection = CONTAINER(task, struct block_connection, retry);

	for (struct transfer *transfer = take_kept(connection); transfer;) {
		struct transfer *next = transfer->next;

		submit(transfer);
		transfer = next;
	}
	io_thread_reply(connection->target->io, &connection->retried_reply);
}

static void on_last_patience_end(struct io_timer *timer)
{
	struct io_remote *remote = CONTAINER(timer, struct block_connection, last_patience)->target->remote;

	remote->ops->give_up(remote);
}

static void stop(struct io_task *task)
{
	struct block_connection *connection = CONTAINER(task, struct block_connection, stop);
	struct io_engine *engine = io_thread_engine(connection->target->io);

	connection->stopping = true;
	if (connection->target->remote && connection->target->remote->engine)
		io_thread_set_timer(connection->target->io, &connection->last_patience, io_thread_now_ns() + LAST_PATIENCE_NS);
	while (connection->late) {
		struct transfer *transfer = connection->late;

		io_thread_clear_timer(connection->target->io, &transfer->late);
		connection->late = transfer->next_late;
		go_on(transfer);
	}
	for (struct transfer *transfer = connection->keeps ? NULL : take_kept(connection); transfer;) {
		struct transfer *next = transfer->next;

		fail_transfer(transfer, ENOSPC);
		transfer = next;
	}
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct block_queue *queue = &connection->queues[i];

		io_thread_clear_timer(connection->target->io, &queue->patience_end);
		publish(queue);
		if (queue->watched)
			engine->ops->unwatch(engine, &queue->kick);
	}
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
		queue->patience_end.run = on_patience_end;
		queue->patience_end.worth = n_until_told;
	}
	connection->stopping = connection->stopped = connection->keeps = false;
	connection->last_patience.run = on_last_patience_end;
	connection->start.run = start;
	connection->stop.run = stop;
	connection->retry.run = retry;
	io_thread_post(connection->target->io, &connection->start);
}

void block_connection_retry(struct block_connection *connection)
{
	/* One that is on its way will find everything, or who is kept later tells again. */
	if (connection->retrying)
		return;
	connection->retrying = true;
	io_thread_post(connection->target->io, &connection->retry);
}

void block_connection_stop(struct block_connection *connection)
{
	io_thread_post(connection->target->io, &connection->stop);
}

static void suspend(struct io_task *task)
{
	CONTAINER(task, struct block_connection, stop)->keeps = true;
	stop(task);
}

void block_connection_suspend(struct block_connection *connection)
{
	connection->stop.run = suspend;
	block_connection_stop(connection);
}
