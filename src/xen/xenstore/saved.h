// SPDX-License-Identifier: MIT
/*
 * A xenstore as bytes: the tree, and the guest's connection with its watches, its open transactions and what waits to be
 * sent. Clients of the host's are processes: they are not in it. Pure.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

#include "saved/bytes.h"
#include "xen/xenstore/xenstore.h"

/* With the store in hand. */
void xenstore_save(const struct xenstore *store, const struct xs_conn *conn, GByteArray *to);

/*
 * A store with one connection, of domain domid, which has no notify yet: xs_conn_notify() gives it one. NULL: it is damaged, or
 * memory is out. quota: as of xenstore_new().
 */
struct xenstore *xenstore_restore(struct saved_cursor from, const struct xenstore_quota *quota, uint16_t domid, struct xs_conn **conn);
void xs_conn_notify(struct xs_conn *conn, void (*notify)(void *opaque), void *opaque);
