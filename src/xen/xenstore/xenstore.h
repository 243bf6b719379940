// SPDX-License-Identifier: MIT
/*
 * The xenstore of one domain: tree, transactions, watches and the wire protocol, as a pure core.
 *
 * Bytes go in, bytes come out; nothing here knows of rings, sockets, KVM or event channels. A connection is a pair
 * of byte streams in the format of <xen/io/xs_wire.h>. Who owns the transport (the ring page of the guest, or the
 * Unix socket of a tool on the host) feeds what arrived and sends what is pending:
 *
 *      bytes from the client --> xs_conn_feed()          xs_conn_pending() --> bytes to the client
 *                                       \               /
 *                                   tree, transactions, watches
 *
 * The store belongs to the main thread: whatever it calls back, it calls there. It has a lock, so that the thread of a
 * vCPU may visit, when the main thread has nothing to do with it. The host's own access takes the lock by itself; who uses
 * a connection holds it around each call, and from xs_conn_pending() to xs_conn_sent() without a break. Order: before all
 * other locks, since callbacks come under it.
 *
 * Nothing here aborts on what a client sent: errors go to the client as XS_ERROR
 * with Xen's names (EINVAL, ENOENT, EACCES, EEXIST, EAGAIN, ENOSPC, E2BIG, EBUSY, EISDIR, ENOMEM, ENOSYS, EROFS,
 * EISCONN, ENOTCONN). Quotas bound everything an unprivileged client can make grow.
 *
 * Source: docs/misc/xenstore.txt of Xen and <xen/io/xs_wire.h>.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Limits for connections whose domid is not 0; the two pending ones hold for every connection, as a tool that does not
 * read must not make a guest's writes pile up here. Each answers with the errno Xen's own xenstored uses: E2BIG for
 * watches, EINVAL for path_bytes, ENOSPC for the others. Nothing is answered for pending ones.
 */
struct xenstore_quota {
	unsigned int nodes;                 /* nodes owned by the domain, whole tree */
	unsigned int watches;               /* of one connection */
	unsigned int transactions;          /* open at once, of one connection */
	unsigned int transaction_nodes;     /* paths that one transaction reads or writes */
	size_t transaction_bytes;           /* those paths and the values written, of all open ones of a connection */
	unsigned int node_bytes;            /* path, value and permissions of one node */
	unsigned int permissions;           /* entries of one node */
	unsigned int path_bytes;            /* absolute path; relative ones may have 1024 less */
	size_t pending_bytes;               /* unsent replies and events; feed() stops taking requests above it */
	unsigned int pending_events;        /* unsent watch events; what exceeds it is coalesced and counted: once there
					       is room, one event with the watch's own path stands for all of them */
};
extern const struct xenstore_quota XENSTORE_QUOTA_DEFAULT;

struct xenstore;
struct xs_conn;

/* NULL when memory is out. quota is copied; NULL stands for XENSTORE_QUOTA_DEFAULT. The tree has only "/", "n0". */
struct xenstore *xenstore_new(const struct xenstore_quota *quota);
void xenstore_free(struct xenstore *store); /* every connection must be gone */

/* The main thread's; nests. While it waits no other thread gets the lock again. */
void xenstore_lock(struct xenstore *store);
void xenstore_unlock(struct xenstore *store);

/*
 * Another thread's turn with the store; it waits for nobody. FALSE: the main thread has the store, or wants it. Between
 * the two nothing is called back: it waits for the main thread, which visit_end() returns FALSE for; it has to be made
 * to call xenstore_settle() then.
 */
bool xenstore_visit(struct xenstore *store);
bool xenstore_visit_end(struct xenstore *store);
void xenstore_settle(struct xenstore *store);

/*
 * The host's own access, with the rights of domain 0 and outside any transaction. Paths are absolute. Values are
 * bytes, not strings; read returns a copy that the caller frees with free(), NUL-terminated behind len_bytes.
 * Returns 0 or a positive errno. A node made here has its parent's permissions, owner included, as Xen does it for
 * domain 0: what is written under a guest's own directory belongs to the guest. set_permissions also takes the two
 * special paths and then says who gets these events.
 */
int xenstore_write(struct xenstore *store, const char *path, const void *value, size_t len_bytes);
int xenstore_printf(struct xenstore *store, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int xenstore_read(struct xenstore *store, const char *path, void **value, size_t *len_bytes);
int xenstore_remove(struct xenstore *store, const char *path);
/* The names of the children, sorted, NULL at the end: one block that the caller frees with free(). */
int xenstore_directory(struct xenstore *store, const char *path, char ***names);
/* perms in the wire's own syntax, one string an entry: "n1" (owner 1, others none), "b0", "r2". */
int xenstore_set_permissions(struct xenstore *store, const char *path, const char *const *perms, size_t n_perms);
/*
 * No client's watch, but those of domain 0, is told of the node's changes from now on, until its permissions are set or it is
 * removed: a guest need not hear of what it writes there itself.
 */
int xenstore_set_quiet(struct xenstore *store, const char *path);

/*
 * A watch of the host's own: called for path and everything under it, and once at registration as xenstore does.
 * Called after the change, never from inside the tree; the callback may call back into the store, and may unwatch or
 * free connections. The first call comes before xenstore_watch() returns, unless that was called from a callback; then
 * it follows later. path is absolute or special; NULL if it is malformed or memory is out.
 */
struct xenstore_watch;
typedef void (*xenstore_watch_fn)(void *opaque, const char *path);
struct xenstore_watch *xenstore_watch(struct xenstore *store, const char *path, xenstore_watch_fn fn, void *opaque);
void xenstore_unwatch(struct xenstore *store, struct xenstore_watch *watch);

/* Whether a client that is domain domid watches just this absolute path. */
bool xenstore_is_watched_by(const struct xenstore *store, uint16_t domid, const char *path);

/*
 * Special watches, fired by the owner of the domain: "@introduceDomain", "@releaseDomain". Clients other than domain 0
 * get them only when xenstore_set_permissions() made that name readable for them; initially it is "n0".
 */
void xenstore_fire_special(struct xenstore *store, const char *name);

/*
 * One client. domid decides the rights (0 may do everything) and the base of relative paths (/local/domain/<domid>).
 * notify (may be NULL) is called when pending bytes appear on a connection that had none: at the end of the call into
 * the store that made them, never from xs_conn_sent(). It may call xs_conn_pending(), xs_conn_sent(), xs_conn_free().
 * NULL when memory is out.
 */
struct xs_conn *xs_conn_new(struct xenstore *store, uint16_t domid, void (*notify)(void *opaque), void *opaque);
void xs_conn_free(struct xs_conn *conn); /* its watches and transactions go with it */

/* What a reconnecting guest gets: watches, transactions, half a request and unsent bytes are forgotten. */
void xs_conn_reset(struct xs_conn *conn);

/*
 * A transaction that could be committed is refused with EAGAIN, as if another had come first, where refuse_commit() says so. It is
 * asked once for each, within xs_conn_feed().
 */
void xs_conn_refuse_commits(struct xs_conn *conn, bool (*refuse_commit)(void *opaque), void *opaque);

/*
 * Takes bytes of the client's stream; returns how many were taken, fewer than offered only when the quota of pending
 * bytes is reached (feed again after some were sent). A malformed header (len > XENSTORE_PAYLOAD_MAX) breaks the
 * stream for good: from then on everything is taken and ignored and xs_conn_broken() is true. Its watches and
 * transactions are gone then; only xs_conn_reset() mends it.
 */
size_t xs_conn_feed(struct xs_conn *conn, const void *bytes, size_t len_bytes);
bool xs_conn_broken(const struct xs_conn *conn);

/*
 * The unsent bytes: a pointer valid until the next call on the store, and their number; sent() drops the first n. As
 * sent() may bring up events that had to wait, and does not notify, a sender goes on until nothing is pending.
 */
const void *xs_conn_pending(const struct xs_conn *conn, size_t *len_bytes);
void xs_conn_sent(struct xs_conn *conn, size_t len_bytes);

struct xs_conn_counters {
	uint64_t requests;
	uint64_t errors;             /* requests answered with XS_ERROR */
	uint64_t events;             /* queued for sending */
	uint64_t events_repeated;    /* left out: the same one was waiting, with no reply behind it */
	uint64_t events_coalesced;   /* over the quota: replaced by one of the watch's own path */
};
struct xs_conn_counters xs_conn_counters(const struct xs_conn *conn);
