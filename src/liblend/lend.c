// SPDX-License-Identifier: MIT
/*
 * Theory of operation: one request is under way at a time (requests). Replies and events come on one stream; of the threads
 * that wait for something, one reads (is_reading), puts what came where it belongs, and tells the others.
 */
#include "dom1/lend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lend/wire.h"
#include "liblend/bridge.h"

#define MS_PER_S  1000
#define NS_PER_MS 1000000
#define NS_PER_S  1000000000

/* What one read may bring: a reply and the event behind it need no second one. */
#define IN_BYTES 2048u

struct queued {
	struct queued *next;
	struct lend_fault fault;
};

struct lend {
	int fd;
	pthread_mutex_t requests; /* held from a request to its reply; before state */
	pthread_mutex_t state;    /* of all that follows */
	pthread_cond_t changed;
	bool is_reading;
	bool never_blocks; /* the descriptor, as it came to us */
	bool ended;
	bool closing;
	uint8_t in[IN_BYTES]; /* the reading thread's */
	size_t in_bytes;
	uint32_t awaited; /* the request whose reply is to come; 0: none */
	void *reply;
	size_t reply_bytes;
	struct queued *faults, **last_fault;
	void (*handler)(void *opaque, const struct lend_fault *fault);
	void *handler_opaque;
	pthread_t thread;
	bool has_thread;
	struct bridges *bridges; /* NULL: none yet */
};

static_assert(IN_BYTES >= sizeof(struct lend_header) + sizeof(struct lend_query_reply), "the largest message there is");

/* In */

static void end(struct lend *lend)
{
	lend->ended = true;
	pthread_cond_broadcast(&lend->changed);
}

static void add_fault(struct lend *lend, const uint8_t *body)
{
	struct lend_fault_event event;
	struct queued *queued = malloc(sizeof(*queued));

	memcpy(&event, body, sizeof(event));
	/* Without memory for it nobody would ever answer: the connection's end answers all. */
	if (!queued) {
		shutdown(lend->fd, SHUT_RDWR);
		return;
	}
	*queued = (struct queued){ .fault = { .id = event.id,
					      .seq = event.seq,
					      .window = event.window,
					      .flags = event.flags,
					      .offset_bytes = event.offset_bytes,
					      .len_bytes = event.len_bytes,
					      .vcpus = event.vcpus } };
	*lend->last_fault = queued;
	lend->last_fault = &queued->next;
}

static void take_message(struct lend *lend, const struct lend_header *header, const uint8_t *body)
{
	if (header->flags & LEND_FLAG_REPLY) {
		if (header->request != lend->awaited || header->len_bytes != lend->reply_bytes) {
			end(lend);
			return;
		}
		memcpy(lend->reply, body, header->len_bytes);
		lend->awaited = 0;
	} else if (header->request == LEND_EVENT_FAULT && header->len_bytes == sizeof(struct lend_fault_event)) {
		add_fault(lend, body);
	} else if (header->request == LEND_EVENT_GONE) {
		end(lend);
	}
}

/* What is complete of what was read; FALSE: nothing of ours. */
static bool take_messages(struct lend *lend)
{
	size_t at = 0;

	while (lend->in_bytes - at >= sizeof(struct lend_header)) {
		struct lend_header header;

		memcpy(&header, lend->in + at, sizeof(header));
		if (header.len_bytes > sizeof(lend->in) - sizeof(header))
			return false;
		if (lend->in_bytes - at < sizeof(header) + header.len_bytes)
			break;
		take_message(lend, &header, lend->in + at + sizeof(header));
		at += sizeof(header) + header.len_bytes;
	}
	lend->in_bytes -= at;
	memmove(lend->in, lend->in + at, lend->in_bytes);
	return true;
}

/* Called by the thread that reads, without the lock. FALSE: the connection has ended. */
static bool read_some(struct lend *lend, int flags)
{
	ssize_t got = recv(lend->fd, lend->in + lend->in_bytes, sizeof(lend->in) - lend->in_bytes, flags);

	if (got > 0)
		lend->in_bytes += (size_t)got;
	return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static int remaining_ms(const struct timespec *deadline)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	long long ms = (long long)(deadline->tv_sec - now.tv_sec) * MS_PER_S + (deadline->tv_nsec - now.tv_nsec) / NS_PER_MS;
	return ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* With the state's lock held, which is dropped meanwhile: something has come, or the time is over. deadline NULL: never. */
static void wait_for_more(struct lend *lend, const struct timespec *deadline)
{
	bool alive = true;

	if (lend->is_reading) {
		if (deadline)
			(void)pthread_cond_timedwait(&lend->changed, &lend->state, deadline);
		else
			pthread_cond_wait(&lend->changed, &lend->state);
		return;
	}
	lend->is_reading = true;
	pthread_mutex_unlock(&lend->state);
	struct pollfd poll_fd = { .fd = lend->fd, .events = POLLIN };
	/* The descriptor may be one that does not block: then it is waited for. */
	if (deadline || lend->never_blocks) {
		if (poll(&poll_fd, 1, deadline ? remaining_ms(deadline) : -1) > 0)
			alive = read_some(lend, MSG_DONTWAIT);
	} else {
		alive = read_some(lend, 0);
	}
	pthread_mutex_lock(&lend->state);
	alive &= take_messages(lend);
	lend->is_reading = false;
	if (!alive)
		end(lend);
	/* Somebody else may have to read now. */
	pthread_cond_broadcast(&lend->changed);
}

/* Out */

static bool send_all(const struct lend *lend, const void *header, const void *body, size_t len_bytes, int fd)
{
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov[2] = { { (void *)(uintptr_t)header, sizeof(struct lend_header) }, { (void *)(uintptr_t)body, len_bytes } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	while (iov[0].iov_len + iov[1].iov_len > 0) {
		ssize_t sent = sendmsg(lend->fd, &message, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		message.msg_control = NULL;
		message.msg_controllen = 0;
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)sent < iov[i].iov_len ? (size_t)sent : iov[i].iov_len;

			iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
	return true;
}

/* 0 or -ENOTCONN; what the reply says is the caller's. */
static int request(struct lend *lend, uint32_t number, const void *body, size_t len_bytes, int fd, void *reply,
		   size_t reply_bytes)
{
	const struct lend_header header = { number, LEND_FLAGS_VERSION, (uint32_t)len_bytes };
	int result = 0;

	pthread_mutex_lock(&lend->requests);
	pthread_mutex_lock(&lend->state);
	lend->awaited = number;
	lend->reply = reply;
	lend->reply_bytes = reply_bytes;
	pthread_mutex_unlock(&lend->state);
	bool sent = send_all(lend, &header, body, len_bytes, fd);
	pthread_mutex_lock(&lend->state);
	if (!sent)
		lend->ended = true;
	while (lend->awaited != 0 && !lend->ended)
		wait_for_more(lend, NULL);
	if (lend->awaited != 0)
		result = -ENOTCONN;
	lend->awaited = 0;
	pthread_mutex_unlock(&lend->state);
	pthread_mutex_unlock(&lend->requests);
	return result;
}

static int plain_request(struct lend *lend, uint32_t number, const void *body, size_t len_bytes, int fd,
			 struct lend_reply *reply)
{
	int result = request(lend, number, body, len_bytes, fd, reply, sizeof(*reply));

	return result != 0 ? result : -(int)reply->error;
}

/* Connections */

int lend_from_fd(int fd, struct lend **out)
{
	const struct lend_hello hello = { .version = LEND_WIRE_VERSION };
	struct lend_hello_reply answer = { 0 };
	struct lend *lend = calloc(1, sizeof(*lend));
	pthread_condattr_t clock;

	if (!lend)
		return -ENOMEM;
	lend->fd = fd;
	lend->never_blocks = (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0;
	lend->last_fault = &lend->faults;
	pthread_mutex_init(&lend->requests, NULL);
	pthread_mutex_init(&lend->state, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&lend->changed, &clock);
	pthread_condattr_destroy(&clock);
	int result = request(lend, LEND_HELLO, &hello, sizeof(hello), -1, &answer, sizeof(answer));
	if (result == 0)
		result = -(int)answer.error;
	if (result == 0 && answer.page_bytes != LEND_PAGE_BYTES)
		result = -EPROTONOSUPPORT;
	if (result == 0) {
		*out = lend;
		return 0;
	}
	/* The descriptor stays the caller's. */
	lend->fd = -1;
	lend_close(lend);
	return result == -ENOTCONN ? -EPROTONOSUPPORT : result;
}

int lend_open(const char *path, struct lend **out)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	int result = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
	if (result == 0)
		result = lend_from_fd(fd, out);
	if (result != 0)
		close(fd);
	return result;
}

void lend_close(struct lend *lend)
{
	if (!lend)
		return;
	pthread_mutex_lock(&lend->state);
	lend->closing = true;
	pthread_mutex_unlock(&lend->state);
	if (lend->fd >= 0)
		shutdown(lend->fd, SHUT_RDWR);
	if (lend->has_thread)
		pthread_join(lend->thread, NULL);
	bridges_free(lend->bridges);
	if (lend->fd >= 0)
		close(lend->fd);
	while (lend->faults) {
		struct queued *next = lend->faults->next;

		free(lend->faults);
		lend->faults = next;
	}
	pthread_cond_destroy(&lend->changed);
	pthread_mutex_destroy(&lend->state);
	pthread_mutex_destroy(&lend->requests);
	free(lend);
}

int lend_fd(const struct lend *lend)
{
	return lend->fd;
}

struct bridges *bridges_of(struct lend *lend)
{
	pthread_mutex_lock(&lend->state);
	if (!lend->bridges)
		lend->bridges = bridges_new(lend);
	struct bridges *bridges = lend->bridges;
	pthread_mutex_unlock(&lend->state);
	return bridges;
}

/* Windows */

int lend_claim(struct lend *lend, uint32_t window, enum lend_action on_fail, uint32_t timeout_ms,
	       struct lend_claimed *claimed)
{
	const struct lend_claim claim = { .window = window, .on_fail = (uint32_t)on_fail, .timeout_ms = timeout_ms };
	struct lend_claim_reply answer;
	int result = request(lend, LEND_CLAIM, &claim, sizeof(claim), -1, &answer, sizeof(answer));

	if (result != 0 || answer.error != 0)
		return result != 0 ? result : -(int)answer.error;
	if (claimed)
		*claimed = (struct lend_claimed){ answer.window, answer.gpa, answer.len_bytes, answer.seq };
	return 0;
}

static int window_request(struct lend *lend, uint32_t number, uint32_t window)
{
	const struct lend_window which = { .window = window };
	struct lend_reply reply;

	return plain_request(lend, number, &which, sizeof(which), -1, &reply);
}

int lend_release(struct lend *lend, uint32_t window)
{
	return window_request(lend, LEND_RELEASE, window);
}

int lend_map_if(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, int fd,
		uint64_t fd_offset_bytes, unsigned int flags, uint64_t seq)
{
	const struct lend_pages pages = {
		.seq = seq,
		.window = window,
		.flags = flags,
		.offset_bytes = offset_bytes,
		.len_bytes = len_bytes,
		.fd_offset_bytes = fd_offset_bytes,
	};
	struct lend_reply reply;

	return fd < 0 ? -EBADF : plain_request(lend, LEND_LEND, &pages, sizeof(pages), fd, &reply);
}

int lend_map(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, int fd,
	     uint64_t fd_offset_bytes, unsigned int flags)
{
	return lend_map_if(lend, window, offset_bytes, len_bytes, fd, fd_offset_bytes, flags, 0);
}

static int revoke_request(struct lend *lend, uint32_t number, uint32_t window, const struct lend_part *parts,
			  size_t n_parts, uint64_t *seq)
{
	struct lend_ranges ranges = { .window = window, .n_ranges = (uint32_t)n_parts };
	struct lend_reply reply;

	if (n_parts == 0 || n_parts > LEND_MAX_RANGES)
		return -EINVAL;
	for (size_t i = 0; i < n_parts; i++)
		ranges.ranges[i] = (struct lend_range){ parts[i].offset_bytes, parts[i].len_bytes };
	int result = plain_request(lend, number, &ranges, LEND_RANGES_BYTES((uint32_t)n_parts), -1, &reply);
	if (result != 0)
		return result;
	if (seq)
		*seq = reply.seq;
	return reply.flags & LEND_REPLY_WIDENED ? 1 : 0;
}

int lend_revoke_parts(struct lend *lend, uint32_t window, const struct lend_part *parts, size_t n_parts, uint64_t *seq)
{
	return revoke_request(lend, LEND_REVOKE, window, parts, n_parts, seq);
}

int lend_revoke(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, uint64_t *seq)
{
	const struct lend_part part = { offset_bytes, len_bytes };

	return revoke_request(lend, LEND_REVOKE, window, &part, 1, seq);
}

int lend_revoke_begin(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, uint64_t *seq)
{
	const struct lend_part part = { offset_bytes, len_bytes };

	return revoke_request(lend, LEND_REVOKE_BEGIN, window, &part, 1, seq);
}

int lend_revoke_end(struct lend *lend, uint32_t window)
{
	return window_request(lend, LEND_REVOKE_END, window);
}

int lend_query(struct lend *lend, uint32_t window, struct lend_state *state)
{
	const struct lend_window which = { .window = window };
	struct lend_query_reply answer;
	int result = request(lend, LEND_QUERY, &which, sizeof(which), -1, &answer, sizeof(answer));

	if (result != 0 || answer.error != 0)
		return result != 0 ? result : -(int)answer.error;
	*state = (struct lend_state){
		.window = answer.window,
		.claimed = answer.claimed != 0,
		.on_fail = (enum lend_action)answer.on_fail,
		.gpa = answer.gpa,
		.len_bytes = answer.len_bytes,
		.seq = answer.seq,
		.lent_pages = answer.lent_pages,
		.zero_pages = answer.zero_pages,
		.mappings = answer.mappings,
		.waiting = answer.waiting,
		.lends = answer.lends,
		.supplies = answer.supplies,
		.stale = answer.stale,
		.revokes = answer.revokes,
		.revoked_pages = answer.revoked_pages,
		.widened = answer.widened,
		.faults = answer.faults,
		.zeros = answer.zeros,
		.machine_checks = answer.machine_checks,
		.timeouts = answer.timeouts,
		.traps = answer.traps,
		.unknown = answer.unknown,
		.emulated = answer.emulated,
		.last_revoke_ns = answer.last_revoke_ns,
		.last_revoke_kernel_ns = answer.last_revoke_kernel_ns,
		.slowest_revoke_ns = answer.slowest_revoke_ns,
		.slowest_revoke_kernel_ns = answer.slowest_revoke_kernel_ns,
		.slowest_revoke_pages = answer.slowest_revoke_pages,
	};
	return 0;
}

/* Faults */

int lend_next_fault(struct lend *lend, struct lend_fault *fault, int timeout_ms)
{
	struct timespec deadline;
	int result = 0;

	clock_gettime(CLOCK_MONOTONIC, &deadline);
	if (timeout_ms > 0) {
		deadline.tv_sec += timeout_ms / MS_PER_S;
		deadline.tv_nsec += (long)(timeout_ms % MS_PER_S) * NS_PER_MS;
		if (deadline.tv_nsec >= NS_PER_S) {
			deadline.tv_sec++;
			deadline.tv_nsec -= NS_PER_S;
		}
	}
	pthread_mutex_lock(&lend->state);
	/* Not at all: what has come already is still looked at, a message at a time. */
	for (unsigned int turn = 0; !lend->faults && !lend->ended && !lend->closing; turn++) {
		if (timeout_ms >= 0 && remaining_ms(&deadline) == 0 && turn > 2)
			break;
		wait_for_more(lend, timeout_ms < 0 ? NULL : &deadline);
	}
	if (lend->faults) {
		struct queued *first = lend->faults;

		*fault = first->fault;
		lend->faults = first->next;
		if (!lend->faults)
			lend->last_fault = &lend->faults;
		free(first);
	} else {
		result = lend->ended || lend->closing ? -ENOTCONN : -ETIMEDOUT;
	}
	pthread_mutex_unlock(&lend->state);
	return result;
}

static void *handle_faults(void *opaque)
{
	struct lend *lend = opaque;
	struct lend_fault fault;

	while (lend_next_fault(lend, &fault, -1) == 0)
		lend->handler(lend->handler_opaque, &fault);
	return NULL;
}

int lend_start_handler(struct lend *lend, void (*fn)(void *opaque, const struct lend_fault *fault), void *opaque)
{
	if (lend->has_thread)
		return -EBUSY;
	lend->handler = fn;
	lend->handler_opaque = opaque;
	int rc = pthread_create(&lend->thread, NULL, handle_faults, lend);
	lend->has_thread = rc == 0;
	return -rc;
}

int lend_supply(struct lend *lend, const struct lend_fault *fault, uint64_t len_bytes, int fd, uint64_t fd_offset_bytes,
		unsigned int flags)
{
	const struct lend_pages pages = {
		.id = fault->id,
		.window = fault->window,
		.flags = flags,
		.offset_bytes = fault->offset_bytes,
		.len_bytes = len_bytes,
		.fd_offset_bytes = fd_offset_bytes,
	};
	struct lend_reply reply;

	return fd < 0 ? -EBADF : plain_request(lend, LEND_SUPPLY, &pages, sizeof(pages), fd, &reply);
}

int lend_fail(struct lend *lend, const struct lend_fault *fault, enum lend_action action)
{
	const struct lend_fail fail = { .id = fault->id, .action = (uint32_t)action };
	struct lend_reply reply;

	return plain_request(lend, LEND_FAIL, &fail, sizeof(fail), -1, &reply);
}
