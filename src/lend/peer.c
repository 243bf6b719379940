// SPDX-License-Identifier: MIT
#include "lend/peer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/backend_port.h"
#include "dom1/lend-abi.h"
#include "dom1/lend.h"
#include "lend/space.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "vmm/worker.h"
#include "xen/domain.h"
#include "xen/domid.h"
#include "xen/ring.h"

#define MAX_PENDING 64u /* behind a full ring */

struct lease {
	bool used;
	uint64_t first_gfn, n_pages;
};

struct peer {
	struct vm *vm;
	struct lend *lend;
	pthread_mutex_t lock; /* of all that follows, before the domain's; never held during a request to the borrower */
	struct lease leases[SPACE_MAX_WINDOWS];
	struct dom1_lend_ring *ring; /* in the guest's RAM; NULL: none yet */
	uint32_t prod;
	const struct evtchn_backend *port;
	struct dom1_lend_fault pending[MAX_PENDING];
	unsigned int n_pending;
};

static_assert(sizeof(struct dom1_lend_op) == 72 && sizeof(struct dom1_lend_fault) == 40, "no padding in either mode");
static_assert(sizeof(struct dom1_lend_ring) <= LEND_PAGE_BYTES, "a page");
static_assert(DOM1_LEND_WRITABLE == LEND_WRITABLE && DOM1_LEND_ZERO == (int)LEND_ACTION_ZERO &&
	      DOM1_LEND_FAULT == (int)LEND_ACTION_FAULT && DOM1_LEND_STOP == (int)LEND_ACTION_STOP, "handed on");

/* Faults */

/* With the lock. The guest may write anything to the ring: what it says is how much room it has, and no more. */
static void tell(struct peer *peer)
{
	unsigned int n = 0;

	if (!peer->ring || peer->n_pending == 0)
		return;
	uint32_t room = DOM1_LEND_RING_ENTRIES - (peer->prod - ring_read(&peer->ring->cons));
	while (n < peer->n_pending && n < room && room <= DOM1_LEND_RING_ENTRIES)
		peer->ring->entries[peer->prod++ % DOM1_LEND_RING_ENTRIES] = peer->pending[n++];
	if (n == 0)
		return;
	peer->n_pending -= n;
	memmove(peer->pending, peer->pending + n, peer->n_pending * sizeof(peer->pending[0]));
	ring_publish(&peer->ring->prod, peer->prod);
	evtchn_backend_notify(peer->port);
}

static void on_fault(struct peer *peer, const struct lend_fault *fault)
{
	pthread_mutex_lock(&peer->lock);
	bool taken = peer->n_pending < MAX_PENDING && fault->window < SPACE_MAX_WINDOWS;
	if (taken) {
		peer->pending[peer->n_pending++] = (struct dom1_lend_fault){
			.id = fault->id,
			.seq = fault->seq,
			.borrower_gfn = peer->leases[fault->window].first_gfn + fault->offset_bytes / LEND_PAGE_BYTES,
			.lease = fault->window,
			.flags = fault->flags,
			.vcpus = fault->vcpus,
		};
		tell(peer);
	}
	pthread_mutex_unlock(&peer->lock);
	if (!taken)
		(void)lend_fail(peer->lend, fault, LEND_ACTION_DEFAULT);
}

/* Start and end */

static void listen_for_faults(void *opaque)
{
	struct peer *peer = opaque;
	struct lend_fault fault;

	while (lend_next_fault(peer->lend, &fault, -1) == 0)
		on_fault(peer, &fault);
}

bool peer_make_workers(struct vm_workers *workers, const struct sandbox *sandbox, GError **error)
{
	static const struct worker_kind faults = { .name = "dom1-lender", .filter = SANDBOX_LENDER };
	static const struct worker_kind calls = { .name = "dom1-lend-calls", .filter = SANDBOX_LENDER };

	return (workers->lender = worker_new(&faults, sandbox, error)) && (workers->lender_calls = worker_new(&calls, sandbox, error));
}

struct greeting {
	int fd;
	struct lend *lend;
	int result;
};

/* syscalls(lender): sendmsg recvfrom poll fcntl(F_GETFL) futex brk clock_gettime */
static void greet(void *opaque)
{
	struct greeting *greeting = opaque;

	greeting->result = lend_from_fd(greeting->fd, &greeting->lend);
}

/* syscalls(main): close */
struct peer *peer_new(struct vm *vm, int fd, GError **error)
{
	struct peer *peer = g_new0(struct peer, 1);

	peer->vm = vm;
	pthread_mutex_init(&peer->lock, NULL);
	struct greeting greeting = { .fd = fd };
	worker_run(vm->workers->lender_calls, greet, &greeting);
	peer->lend = greeting.lend;
	if (greeting.result == 0) {
		worker_start(vm->workers->lender, listen_for_faults, peer);
		return peer;
	}
	close(fd);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "--lend-to: the borrower does not answer: %s", g_strerror(-greeting.result));
	peer_free(peer);
	return NULL;
}

/* syscalls(main): shutdown */
void peer_cut(const struct peer *peer)
{
	if (peer && peer->lend)
		(void)shutdown(lend_fd(peer->lend), SHUT_RDWR);
}

void peer_free(struct peer *peer)
{
	if (!peer)
		return;
	peer_cut(peer);
	/* It knows the ring. */
	worker_wait(peer->vm->workers->lender);
	lend_close(peer->lend);
	struct backend_port port = { .backend = peer->port };
	if (port.backend)
		BACKEND_PORT_XEN.unbind(peer->vm->xen, &port);
	pthread_mutex_destroy(&peer->lock);
	g_free(peer);
}

/* Operations */

static int64_t to_xen(int result)
{
	switch (result) {
	case -ENOTCONN:
		return -XEN_ESRCH;
	case -ESTALE:
		return -XEN_EAGAIN;
	case -ENOENT:
	case -EPERM:
	case -EBUSY:
	case -EINVAL:
	case -EEXIST:
	case -EAGAIN:
	case -ENOSPC:
	case -ENOMEM:
	case -EACCES:
	case -EOPNOTSUPP:
		/* Xen's numbers are those of Linux here. */
		return result;
	default:
		return result < 0 ? -XEN_EINVAL : 0;
	}
}

/* Where it is in the file. Pages that the guest has given up, or that show something else, are not its to lend. */
static int64_t find_ram(const struct peer *peer, const struct dom1_lend_op *op, uint64_t *offset_bytes)
{
	struct xen_domain *xen = peer->vm->xen;
	int64_t rc = op->nr > 0 && op->lender_gfn <= UINT64_MAX / LAYOUT_PAGE_BYTES - op->nr ? 0 : -XEN_EINVAL;

	pthread_mutex_lock(&xen->lock);
	for (uint64_t gfn = op->lender_gfn; rc == 0 && gfn < op->lender_gfn + op->nr; gfn++)
		if (!reservation_has(&xen->reservation, gfn))
			rc = -XEN_EINVAL;
	if (rc == 0 && grant_maps_show(&xen->maps, op->lender_gfn, op->nr))
		rc = -XEN_EBUSY;
	pthread_mutex_unlock(&xen->lock);
	*offset_bytes = op->lender_gfn * LAYOUT_PAGE_BYTES;
	return rc;
}

/* The part of the lease that the operation is about. */
static int64_t find_part(struct peer *peer, const struct dom1_lend_op *op, struct lend_part *part)
{
	pthread_mutex_lock(&peer->lock);
	const struct lease lease = op->lease < SPACE_MAX_WINDOWS ? peer->leases[op->lease] : (struct lease){ .used = false };
	pthread_mutex_unlock(&peer->lock);
	if (!lease.used)
		return -XEN_EPERM;
	uint64_t page = op->borrower_gfn - lease.first_gfn;
	if (op->borrower_gfn < lease.first_gfn || page >= lease.n_pages || op->nr == 0 || op->nr > lease.n_pages - page)
		return -XEN_EINVAL;
	*part = (struct lend_part){ page * LEND_PAGE_BYTES, (uint64_t)op->nr * LEND_PAGE_BYTES };
	return 0;
}

static int64_t create(struct peer *peer, struct dom1_lend_op *op)
{
	struct lend_state state;
	struct lend_claimed claimed;
	int result;

	if (op->flags >= LEND_ACTIONS)
		return -XEN_EINVAL;
	for (uint32_t window = 0; (result = lend_query(peer->lend, window, &state)) == 0; window++) {
		if (window >= SPACE_MAX_WINDOWS)
			return -XEN_ENOENT;
		if (state.gpa != op->borrower_gfn * LEND_PAGE_BYTES || op->borrower_gfn != state.gpa / LEND_PAGE_BYTES ||
		    state.len_bytes != (uint64_t)op->nr * LEND_PAGE_BYTES)
			continue;
		/* Before a fault of it can come. */
		pthread_mutex_lock(&peer->lock);
		peer->leases[window].first_gfn = op->borrower_gfn;
		peer->leases[window].n_pages = op->nr;
		pthread_mutex_unlock(&peer->lock);
		result = lend_claim(peer->lend, window, (enum lend_action)op->flags, 0, &claimed);
		if (result != 0)
			break;
		pthread_mutex_lock(&peer->lock);
		peer->leases[window].used = true;
		pthread_mutex_unlock(&peer->lock);
		op->lease = window;
		op->seq = claimed.seq;
		return 0;
	}
	return to_xen(result);
}

static int64_t show(struct peer *peer, const struct dom1_lend_op *op)
{
	int fd = guest_memory_file(peer->vm->memory);
	struct lend_part part = { 0 };
	uint64_t offset_bytes;

	if (op->flags & ~DOM1_LEND_WRITABLE)
		return -XEN_EINVAL;
	int64_t rc = find_part(peer, op, &part);
	if (rc == 0)
		rc = find_ram(peer, op, &offset_bytes);
	if (rc != 0)
		return rc;
	if (op->op == DOM1_LEND_MAP)
		return to_xen(lend_map(peer->lend, op->lease, part.offset_bytes, part.len_bytes, fd, offset_bytes, op->flags));
	const struct lend_fault fault = { .id = op->id, .window = op->lease, .offset_bytes = part.offset_bytes };
	return to_xen(lend_supply(peer->lend, &fault, part.len_bytes, fd, offset_bytes, op->flags));
}

static int64_t take_back(struct peer *peer, struct dom1_lend_op *op)
{
	struct lend_part part = { 0 };
	int64_t rc = op->flags == 0 ? find_part(peer, op, &part) : -XEN_EINVAL;

	if (rc != 0)
		return rc;
	int result = lend_revoke(peer->lend, op->lease, part.offset_bytes, part.len_bytes, &op->seq);
	op->flags = result > 0 ? DOM1_LEND_WIDENED : 0;
	return to_xen(result);
}

static int64_t fail(struct peer *peer, struct dom1_lend_op *op)
{
	struct lend_part part = { 0 };

	op->nr = 1;
	int64_t rc = op->flags < LEND_ACTIONS ? find_part(peer, op, &part) : -XEN_EINVAL;
	const struct lend_fault fault = { .id = op->id, .window = op->lease, .offset_bytes = part.offset_bytes };

	return rc != 0 ? rc : to_xen(lend_fail(peer->lend, &fault, (enum lend_action)op->flags));
}

static int64_t destroy(struct peer *peer, const struct dom1_lend_op *op)
{
	pthread_mutex_lock(&peer->lock);
	bool used = op->lease < SPACE_MAX_WINDOWS && peer->leases[op->lease].used;
	if (used)
		peer->leases[op->lease].used = false;
	pthread_mutex_unlock(&peer->lock);
	return used ? to_xen(lend_release(peer->lend, op->lease)) : -XEN_EPERM;
}

/* An unbound port of the guest's that waits for domain 0, which is us. */
/* syscalls(lender): eventfd2 close ioctl(KVM_SET_GSI_ROUTING) ioctl(KVM_IRQFD) ioctl(KVM_XEN_HVM_SET_ATTR) */
static const struct evtchn_backend *new_port(struct xen_domain *xen, uint32_t *port)
{
	const struct evtchn_backend *backend = NULL;

	pthread_mutex_lock(&xen->lock);
	if (evtchn_alloc_unbound(&xen->events, DOMID_SELF, BACKEND_DOMID, port) == 0) {
		uint32_t other;

		if (evtchn_backend_bind(&xen->events, *port) == 0 && evtchn_kvm_sync(xen->events_kvm, *port) == 0)
			backend = evtchn_kvm_backend(xen->events_kvm, *port);
		if (!backend) {
			evtchn_backend_unbind(&xen->events, *port);
			(void)evtchn_close(&xen->events, *port, &other);
		}
	}
	pthread_mutex_unlock(&xen->lock);
	return backend;
}

static int64_t bind_ring(struct peer *peer, struct dom1_lend_op *op)
{
	uint64_t gpa = op->lender_gfn * LAYOUT_PAGE_BYTES;
	int64_t rc = 0;

	pthread_mutex_lock(&peer->vm->xen->lock);
	if (op->lender_gfn != gpa / LAYOUT_PAGE_BYTES || !reservation_has(&peer->vm->xen->reservation, op->lender_gfn))
		rc = -XEN_EINVAL;
	pthread_mutex_unlock(&peer->vm->xen->lock);
	struct dom1_lend_ring *ring = rc == 0 ? guest_memory_span(peer->vm->memory, gpa, LAYOUT_PAGE_BYTES) : NULL;
	if (!ring)
		return -XEN_EINVAL;
	pthread_mutex_lock(&peer->lock);
	if (peer->ring)
		rc = -XEN_EBUSY;
	else if (!(peer->port = new_port(peer->vm->xen, &op->port)))
		rc = -XEN_ENOSPC;
	if (rc == 0) {
		memset(ring, 0, sizeof(*ring));
		peer->ring = ring;
		tell(peer);
	}
	pthread_mutex_unlock(&peer->lock);
	return rc;
}

static int64_t query(struct peer *peer, struct dom1_lend_op *op)
{
	struct lend_state state;
	int result = lend_query(peer->lend, op->lease, &state);

	if (result != 0)
		return to_xen(result);
	op->borrower_gfn = state.gpa / LEND_PAGE_BYTES;
	op->nr = (uint32_t)MIN(state.len_bytes / LEND_PAGE_BYTES, UINT32_MAX);
	op->seq = state.seq;
	op->lent_pages = state.lent_pages;
	op->waiting = state.waiting;
	return 0;
}

static int64_t run(struct peer *peer, struct dom1_lend_op *op)
{
	/* Since it was full last time the guest may have made room. */
	pthread_mutex_lock(&peer->lock);
	tell(peer);
	pthread_mutex_unlock(&peer->lock);
	if (op->pad != 0)
		return -XEN_EINVAL;
	if (op->op == DOM1_LEND_BIND)
		return bind_ring(peer, op);
	if (op->domid != DOM1_LEND_BORROWER)
		return -XEN_EPERM;
	switch (op->op) {
	case DOM1_LEND_CREATE:
		return create(peer, op);
	case DOM1_LEND_MAP:
	case DOM1_LEND_SUPPLY:
		return show(peer, op);
	case DOM1_LEND_REVOKE:
		return take_back(peer, op);
	case DOM1_LEND_FAIL:
		return fail(peer, op);
	case DOM1_LEND_DESTROY:
		return destroy(peer, op);
	case DOM1_LEND_QUERY:
		return query(peer, op);
	default:
		return -XEN_EOPNOTSUPP;
	}
}

struct request {
	struct peer *peer;
	struct dom1_lend_op *op;
	int64_t result;
};

/* syscalls(lender): write */
static void do_request(void *opaque)
{
	struct request *request = opaque;

	request->result = run(request->peer, request->op);
}

int64_t peer_run(struct peer *peer, struct dom1_lend_op *op)
{
	struct request request = { .peer = peer, .op = op };

	worker_run(peer->vm->workers->lender_calls, do_request, &request);
	return request.result;
}
