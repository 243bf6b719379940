// SPDX-License-Identifier: MIT
/* What a connection watches, and how it begins and ends. The ways of frames are net_send.c and net_deliver.c. */
#include "backend/net_queue.h"

#include <stddef.h>
#include <unistd.h>

#define TX_EVENT_NS 500000u

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* syscalls(main, io, io_sync): write */
static void signal_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t written = write(fd, &one, sizeof(one));

	(void)written;
}

void net_queue_break(struct net_queue *queue, const char *why)
{
	struct net_connection *connection = queue->connection;

	if (connection->broken)
		return;
	connection->broken = why;
	io_thread_reply(connection->target->io, &connection->broken_reply);
}

static void tell_if_stopped(struct net_connection *connection)
{
	if (!connection->stopping || connection->told_stopped || connection->n_watched > 0)
		return;
	for (unsigned int i = 0; i < connection->n_queues; i++)
		if (connection->queues[i].finish.queued)
			return;
	connection->told_stopped = true;
	/* From here on it is the main thread's. */
	io_thread_reply(connection->target->io, &connection->stopped_reply);
}

/* Publications */

static void notify(struct net_queue *queue, bool tx, bool rx)
{
	const bool is_one = queue->rx_notify_fd == queue->tx_notify_fd;

	if (tx || (rx && is_one)) {
		queue->connection->counters.notifications++;
		signal_fd(queue->tx_notify_fd);
	}
	if (rx && !is_one) {
		queue->connection->counters.notifications++;
		signal_fd(queue->rx_notify_fd);
	}
}

/* For frames that were sent nobody waits but a sender with a full socket, and TCP allows for a millisecond of them. */
static void finish(struct io_task *task)
{
	struct net_queue *queue = CONTAINER(task, struct net_queue, finish);
	struct net_connection *connection = queue->connection;
	const bool rx = slot_ring_publish(&queue->rx), waits = queue->patience.is_set;
	unsigned int n_unseen = 0;
	const bool tx = (slot_ring_publish(&queue->tx) || waits) && slot_ring_awaited(&queue->tx, &n_unseen);

	if (tx && !rx && n_unseen < queue->tx.n_slots / 4 && !connection->stopping) {
		if (!waits)
			io_thread_set_timer(connection->target->io, &queue->patience, io_thread_now_ns() + TX_EVENT_NS);
	} else {
		io_thread_clear_timer(connection->target->io, &queue->patience);
		notify(queue, tx, rx);
	}
	tell_if_stopped(connection);
}

static void end_patience(struct io_timer *timer)
{
	struct net_queue *queue = CONTAINER(timer, struct net_queue, patience);
	unsigned int n_unseen;

	if (slot_ring_awaited(&queue->tx, &n_unseen))
		notify(queue, true, false);
}

void net_queue_changed(struct net_queue *queue)
{
	io_thread_defer(queue->connection->target->io, &queue->finish);
}

/* Watches */

static void begin_watch(struct net_watch *watch, int fd)
{
	struct io_engine *engine = io_thread_engine(watch->connection->target->io);

	if (watch->on)
		return;
	watch->io.fd = fd;
	if (engine->ops->watch(engine, &watch->io) != 0) {
		net_queue_break(&watch->connection->queues[0], "the host cannot watch its descriptors");
		return;
	}
	watch->on = true;
	watch->connection->n_watched++;
}

static void end_watch(struct net_watch *watch)
{
	struct io_engine *engine = io_thread_engine(watch->connection->target->io);

	if (watch->on && !watch->io.leaving)
		engine->ops->unwatch(engine, &watch->io);
}

static struct net_connection *watch_gone(struct io_watch *io)
{
	struct net_watch *watch = CONTAINER(io, struct net_watch, io);

	watch->on = false;
	watch->connection->n_watched--;
	return watch->connection;
}

static void pump(struct net_queue *queue)
{
	/* Frames do not wait for a disk's completions. */
	io_thread_hurry(queue->connection->target->io);
	net_queue_send(queue);
	net_queue_deliver(queue);
}

static void on_kick(struct io_watch *io)
{
	struct net_watch *watch = CONTAINER(io, struct net_watch, io);

	watch->connection->counters.kicks++;
	pump(watch->queue);
}

static void on_host(struct io_watch *io)
{
	struct net_queue *queue = CONTAINER(io, struct net_watch, io)->queue;

	queue->host_ready = !queue->connection->peer_ended;
	net_queue_deliver(queue);
}

static void on_gone(struct io_watch *io)
{
	tell_if_stopped(watch_gone(io));
}

void net_queue_again(struct net_queue *queue)
{
	io_watch_repeat(&queue->tx_kick.io);
}

/* Of streams: one peer after the other, and room */

static void watch_peer(struct net_connection *connection)
{
	const struct net_link *link = connection->target->link;

	if (link->fd >= 0 && !connection->stopping)
		begin_watch(&connection->queues[0].host, link->fd);
}

static void on_peers(struct io_watch *io)
{
	struct net_connection *connection = CONTAINER(io, struct net_watch, io)->connection;

	if (net_link_accept(connection->target->link))
		watch_peer(connection);
}

/* A peer that has ended goes when nobody looks at its descriptors; another may wait. */
static void on_peer_gone(struct io_watch *io)
{
	struct net_connection *connection = watch_gone(io);

	if (connection->peer_ended && !connection->queues[0].host.on && !connection->room.on) {
		net_link_hang_up(connection->target->link);
		connection->peer_ended = connection->tx_full = false;
		if (!connection->stopping && net_link_accept(connection->target->link))
			watch_peer(connection);
		pump(&connection->queues[0]);
	} else if (connection->tx_full && !connection->room.on && !connection->stopping && !connection->peer_ended) {
		begin_watch(&connection->room, connection->target->link->writing_fd);
	}
	tell_if_stopped(connection);
}

void net_queue_ended(struct net_queue *queue)
{
	struct net_connection *connection = queue->connection;

	queue->host_ready = false;
	if (queue->host.io.leaving)
		return;
	connection->target->ended(connection->target->opaque);
	connection->peer_ended = connection->target->link->stream;
	end_watch(&connection->room);
	end_watch(&queue->host);
}

void net_queue_await_room(struct net_queue *queue)
{
	struct net_connection *connection = queue->connection;

	connection->tx_full = true;
	/* One that is just leaving begins again when it is gone. */
	begin_watch(&connection->room, connection->target->link->writing_fd);
}

static void on_room(struct io_watch *io)
{
	struct net_connection *connection = CONTAINER(io, struct net_watch, io)->connection;

	if (!net_link_flush(connection->target->link))
		return;
	connection->tx_full = false;
	/* Each frame that the peer takes would wake us. */
	end_watch(&connection->room);
	pump(&connection->queues[0]);
}

/* Beginning and end */

static void start(struct io_task *task)
{
	struct net_connection *connection = CONTAINER(task, struct net_connection, start);
	const struct net_link *link = connection->target->link;

	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct net_queue *queue = &connection->queues[i];

		begin_watch(&queue->tx_kick, queue->tx_kick.io.fd);
		if (queue->rx_kick.io.fd >= 0)
			begin_watch(&queue->rx_kick, queue->rx_kick.io.fd);
		if (!link->stream)
			begin_watch(&queue->host, link->fds[i]);
	}
	if (link->stream) {
		watch_peer(connection);
		if (link->listen_fd >= 0)
			begin_watch(&connection->peers, link->listen_fd);
		/* Of the guest before this one. */
		if (!net_link_flush(connection->target->link))
			net_queue_await_room(&connection->queues[0]);
	}
	/* The guest may have put requests there, and sent, before anybody listened. */
	for (unsigned int i = 0; i < connection->n_queues; i++)
		pump(&connection->queues[i]);
}

static void stop(struct io_task *task)
{
	struct net_connection *connection = CONTAINER(task, struct net_connection, stop);

	connection->stopping = true;
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct net_queue *queue = &connection->queues[i];

		end_watch(&queue->tx_kick);
		end_watch(&queue->rx_kick);
		end_watch(&queue->host);
		io_thread_clear_timer(connection->target->io, &queue->patience);
		net_queue_drop_window(queue);
	}
	end_watch(&connection->room);
	end_watch(&connection->peers);
	net_link_forget(connection->target->link);
	tell_if_stopped(connection);
}

static void init_watch(struct net_connection *connection, struct net_watch *watch, struct net_queue *queue,
		       void (*ready)(struct io_watch *), void (*gone)(struct io_watch *))
{
	watch->connection = connection;
	watch->queue = queue;
	watch->io.ready = ready;
	watch->io.gone = gone;
}

void net_connection_start(struct net_connection *connection)
{
	for (unsigned int i = 0; i < connection->n_queues; i++) {
		struct net_queue *queue = &connection->queues[i];

		queue->connection = connection;
		queue->number = i;
		queue->finish.run = finish;
		queue->patience.run = end_patience;
		init_watch(connection, &queue->tx_kick, queue, on_kick, on_gone);
		init_watch(connection, &queue->rx_kick, queue, on_kick, on_gone);
		init_watch(connection, &queue->host, queue, on_host, on_peer_gone);
	}
	init_watch(connection, &connection->room, NULL, on_room, on_peer_gone);
	init_watch(connection, &connection->peers, NULL, on_peers, on_gone);
	connection->room.io.for_writing = true;
	connection->start.run = start;
	connection->stop.run = stop;
	io_thread_post(connection->target->io, &connection->start);
}

void net_connection_stop(struct net_connection *connection)
{
	io_thread_post(connection->target->io, &connection->stop);
}
