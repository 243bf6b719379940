// SPDX-License-Identifier: MIT
/*
 * What the files of the store share: the store itself and its connections.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "xen/xenstore/out.h"
#include "xen/xenstore/path.h"
#include "xen/xenstore/transaction.h"
#include "xen/xenstore/tree.h"
#include "xen/xenstore/watch.h"
#include "xen/xenstore/xenstore.h"

enum { XS_SPECIAL_INTRODUCE, XS_SPECIAL_RELEASE, XS_N_SPECIALS };

struct xenstore {
	pthread_mutex_t lock;         /* recursive: callbacks of the main thread call in again */
	_Atomic bool waiting; /* the main thread has asked for the lock, and does not have it yet */
	struct xenstore_quota quota;
	uint64_t clock;
	struct xs_tree tree;
	struct xs_perms *special[XS_N_SPECIALS];
	struct xs_watches watches;
	struct xenstore_watch *host_watches;
	struct xs_host_event *host_first, **host_end; /* events that wait for their callback */
	struct xs_conn *conns;
	unsigned int depth; /* of calls into the store that are on the stack; callbacks run at 1 only */
};

struct xs_conn {
	struct xs_conn *next, **link;
	struct xenstore *store;
	void (*notify)(void *opaque);
	void *opaque;
	uint16_t domid;
	bool notify_due;
	bool broken;
	bool feeding;         /* xs_conn_feed() is on the stack: */
	bool freed;           /* xs_conn_free() was called under it, */
	bool was_reset;       /* or xs_conn_reset() */
	bool (*refuse_commit)(void *opaque); /* NULL: none is refused but for a conflict */
	void *refuse_opaque;

	struct xenstore_watch *watches;
	unsigned int n_watches;
	unsigned int n_lost;  /* watches that are owed an event */
	struct xs_transaction *transactions;
	unsigned int n_transactions;
	uint32_t last_tx_id;
	size_t transaction_bytes;
	struct xs_conn_counters counters;

	struct xs_out out;
	size_t in_bytes;
	_Alignas(struct xsd_sockmsg) uint8_t in[XS_MESSAGE_MAX];
};

/* xenstore.c. Every call that changes something stands between these two; the outer one runs the callbacks. */
void xs_store_enter(struct xenstore *store);
void xs_store_leave(struct xenstore *store);
void xs_store_run_host_events(struct xenstore *store);

/* The permissions of "@introduceDomain" or "@releaseDomain" (also with "/..." behind), NULL for any other name. */
struct xs_perms **xs_store_special(struct xenstore *store, const char *name);

/* conn.c */
void xs_conn_event(struct xs_conn *conn, struct xenstore_watch *watch, const char *path);
void xs_conn_catch_up(struct xs_conn *conn); /* queues events that are owed, as far as there is room */
void xs_conn_drop_state(struct xs_conn *conn); /* watches, their unsent events, transactions */
void xs_conn_drop_watch(struct xs_conn *conn, struct xenstore_watch *watch);

/* wire.c: answers the request in conn->in. There is room for a reply of any size. */
void xs_wire_dispatch(struct xs_conn *conn);
