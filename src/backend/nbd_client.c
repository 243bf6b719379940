// SPDX-License-Identifier: MIT
#include "backend/nbd_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/nbd_library.h"

#ifdef HAVE_LIBNBD
#define ANSWER_LIMIT_MS 10000
/* A request's length has 32 bits there. */
#define TRIM_MAX_BYTES (UINT64_C(1) << 30)

#define CONTAINER(pointer, type, member) ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

struct nbd_client {
	struct io_remote base;
	struct nbd_library nbd;
	struct nbd_handle *handle;
	bool can_flush;
	/* Copies of the socket: libnbd closes its own when the server is gone, and of each descriptor there is one watch. */
	struct io_watch reading, writing;
	unsigned int n_watches;
	void (*detached)(void *opaque);
	void *opaque;
};

/* What can be moved without waiting is moved; what that completes is told of in the engine's next turn. */
/* syscalls(io, io_sync): poll recvfrom sendto close */
static void move(struct nbd_client *client)
{
	const struct nbd_library *nbd = &client->nbd;

	for (;;) {
		const unsigned int direction = nbd->aio_get_direction(client->handle);
		struct pollfd fd = { .fd = nbd->aio_get_fd(client->handle),
				     .events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
						       (direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0)) };

		/* Without a direction the connection has come to its end. */
		if (direction == 0 || fd.fd < 0 || poll(&fd, 1, 0) <= 0)
			return;
		if (direction & LIBNBD_AIO_DIRECTION_READ && fd.revents & (POLLIN | POLLHUP | POLLERR))
			(void)nbd->aio_notify_read(client->handle);
		else
			(void)nbd->aio_notify_write(client->handle);
	}
}

/* Requests */

static void end_piece(struct io_op *op, int error)
{
	if (error)
		op->result = -error;
	if (--op->n_pieces > 0)
		return;
	if (op->result == 0)
		op->result = op->sum_bytes;
	io_op_finish(op->remote->engine, op);
}

static int on_piece(void *opaque, int *error)
{
	end_piece(opaque, *error);
	return 1;
}

static void submit_piece(struct nbd_client *client, struct io_op *op, uint8_t *bytes, uint64_t offset_bytes, uint64_t len_bytes)
{
	const struct nbd_library *nbd = &client->nbd;
	const nbd_completion_callback done = { .callback = on_piece, .user_data = op };
	int64_t cookie;

	op->n_pieces++;
	switch (op->kind) {
	case IO_READ:
		cookie = nbd->aio_pread(client->handle, bytes, len_bytes, offset_bytes, done, 0);
		break;
	case IO_WRITE:
		cookie = nbd->aio_pwrite(client->handle, bytes, len_bytes, offset_bytes, done, 0);
		break;
	case IO_FLUSH:
		cookie = nbd->aio_flush(client->handle, done, 0);
		break;
	default:
		cookie = nbd->aio_trim(client->handle, len_bytes, offset_bytes, done, 0);
		break;
	}
	/* It was not sent, and is not told of. */
	if (cookie < 0)
		end_piece(op, nbd->aio_is_ready(client->handle) == 1 && nbd->get_errno() ? nbd->get_errno() : ENOTCONN);
}

static void submit(struct io_remote *remote, struct io_op *op)
{
	struct nbd_client *client = CONTAINER(remote, struct nbd_client, base);
	uint64_t offset_bytes = op->offset_bytes, sum_bytes = 0;

	op->result = 0;
	/* So that it does not end before all pieces are sent. */
	op->n_pieces = 1;
	if (op->kind == IO_READ || op->kind == IO_WRITE) {
		for (unsigned int i = 0; i < op->n_iov; i++) {
			submit_piece(client, op, op->iov[i].iov_base, offset_bytes + sum_bytes, op->iov[i].iov_len);
			sum_bytes += op->iov[i].iov_len;
		}
	} else if (op->kind == IO_FLUSH && client->can_flush) {
		submit_piece(client, op, NULL, 0, 0);
	} else if (op->kind == IO_DISCARD) {
		for (uint64_t done = 0; done < op->len_bytes; done += TRIM_MAX_BYTES)
			submit_piece(client, op, NULL, offset_bytes + done, MIN(op->len_bytes - done, TRIM_MAX_BYTES));
	}
	op->sum_bytes = (int64_t)sum_bytes;
	end_piece(op, 0);
	move(client);
}

/* Watches */

static void on_ready_to_read(struct io_watch *watch)
{
	move(CONTAINER(watch, struct nbd_client, reading));
}

static void on_ready_to_write(struct io_watch *watch)
{
	move(CONTAINER(watch, struct nbd_client, writing));
}

static void one_gone(struct nbd_client *client)
{
	if (--client->n_watches > 0)
		return;
	client->base.engine = NULL;
	client->detached(client->opaque);
}

static void on_reading_gone(struct io_watch *watch)
{
	one_gone(CONTAINER(watch, struct nbd_client, reading));
}

static void on_writing_gone(struct io_watch *watch)
{
	one_gone(CONTAINER(watch, struct nbd_client, writing));
}

static bool attach(struct io_remote *remote, struct io_engine *engine)
{
	struct nbd_client *client = CONTAINER(remote, struct nbd_client, base);

	if (engine->ops->watch(engine, &client->reading) != 0)
		return false;
	client->n_watches = 1;
	remote->engine = engine;
	client->n_watches += engine->ops->watch(engine, &client->writing) == 0;
	return true;
}

static void detach(struct io_remote *remote, void (*detached)(void *opaque), void *opaque)
{
	struct nbd_client *client = CONTAINER(remote, struct nbd_client, base);
	struct io_engine *engine = remote->engine;

	client->detached = detached;
	client->opaque = opaque;
	if (client->n_watches == 2)
		engine->ops->unwatch(engine, &client->writing);
	engine->ops->unwatch(engine, &client->reading);
}

static void give_up(struct io_remote *remote)
{
	nbd_client_hang_up(CONTAINER(remote, struct nbd_client, base));
}

static const struct io_remote_ops OPS = { attach, detach, submit, give_up };

/* Coming and going */

/* syscalls(main): poll recvfrom sendto close fcntl(F_GETFL) fcntl(F_SETFL) fcntl(F_GETFD) fcntl(F_SETFD) */
static bool shake_hands(struct nbd_client *client, int fd, const char *export_name)
{
	const struct nbd_library *nbd = &client->nbd;
	const gint64 until_us = g_get_monotonic_time() + ANSWER_LIMIT_MS * G_TIME_SPAN_MILLISECOND;

	if (nbd->set_export_name(client->handle, export_name) != 0 || nbd->set_pread_initialize(client->handle, false) != 0 ||
	    nbd->aio_connect_socket(client->handle, fd) != 0)
		return false;
	while (nbd->aio_is_connecting(client->handle) == 1) {
		const gint64 left_ms = (until_us - g_get_monotonic_time()) / 1000;

		if (left_ms <= 0 || nbd->poll(client->handle, (int)left_ms) < 0)
			return false;
	}
	return nbd->aio_is_ready(client->handle) == 1;
}

static bool learn(struct nbd_client *client, struct nbd_facts *facts)
{
	const struct nbd_library *nbd = &client->nbd;
	const int64_t len_bytes = nbd->get_size(client->handle);
	const int64_t smallest = nbd->get_block_size(client->handle, LIBNBD_SIZE_MINIMUM);
	const int64_t preferred = nbd->get_block_size(client->handle, LIBNBD_SIZE_PREFERRED);

	*facts = (struct nbd_facts){
		.len_bytes = len_bytes < 0 ? 0 : (uint64_t)len_bytes,
		.block_bytes = preferred < 512 || preferred > 1 << 20 ? 4096 : (uint32_t)preferred,
		.read_only = nbd->is_read_only(client->handle) != 0,
		.can_discard = nbd->can_trim(client->handle) == 1,
	};
	client->can_flush = nbd->can_flush(client->handle) == 1;
	return len_bytes >= 0 && smallest <= 512;
}

/* syscalls(main): fcntl(F_DUPFD_CLOEXEC) */
struct nbd_client *nbd_client_new(int fd, const char *export_name, struct nbd_facts *facts, char **why)
{
	struct nbd_client *client = g_new0(struct nbd_client, 1);
	const char *reason;

	client->base.ops = &OPS;
	client->reading = (struct io_watch){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .ready = on_ready_to_read, .gone = on_reading_gone };
	client->writing = (struct io_watch){ .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .for_writing = true,
					     .ready = on_ready_to_write, .gone = on_writing_gone };
	if (!nbd_library_open(&client->nbd, &reason)) {
		*why = g_strdup_printf("libnbd does not load: %s", reason);
		close(fd);
	} else if (client->reading.fd < 0 || client->writing.fd < 0 || !(client->handle = client->nbd.create())) {
		*why = g_strdup("the host is out of memory or descriptors");
		close(fd);
	} else if (!shake_hands(client, fd, export_name)) {
		reason = client->nbd.get_error();
		*why = g_strdup(reason ? reason : "the server does not answer");
	} else if (!learn(client, facts)) {
		*why = g_strdup("the server does not say how large it is, or its blocks are larger than 512 bytes");
	} else {
		return client;
	}
	nbd_client_free(client);
	return NULL;
}

void nbd_client_free(struct nbd_client *client)
{
	if (!client)
		return;
	if (client->handle)
		client->nbd.close(client->handle);
	if (client->reading.fd >= 0)
		close(client->reading.fd);
	if (client->writing.fd >= 0)
		close(client->writing.fd);
	g_free(client);
}

/* syscalls(main, io, io_sync): shutdown */
void nbd_client_hang_up(struct nbd_client *client)
{
	(void)shutdown(client->reading.fd, SHUT_RDWR);
}

unsigned int nbd_client_fds(const struct nbd_client *client, int fds[NBD_CLIENT_FDS_MAX])
{
	fds[0] = client->nbd.aio_get_fd(client->handle);
	fds[1] = client->reading.fd;
	fds[2] = client->writing.fd;
	return 3;
}

struct io_remote *nbd_client_remote(struct nbd_client *client)
{
	return &client->base;
}
#else
struct nbd_client *nbd_client_new(int fd, const char *export_name, struct nbd_facts *facts, char **why)
{
	(void)export_name, (void)facts;
	close(fd);
	*why = g_strdup("this dom1 was built without libnbd");
	return NULL;
}

void nbd_client_free(struct nbd_client *client)
{
	(void)client;
}

void nbd_client_hang_up(struct nbd_client *client)
{
	(void)client;
}

unsigned int nbd_client_fds(const struct nbd_client *client, int fds[NBD_CLIENT_FDS_MAX])
{
	(void)client, (void)fds;
	return 0;
}

struct io_remote *nbd_client_remote(struct nbd_client *client)
{
	(void)client;
	return NULL;
}
#endif
