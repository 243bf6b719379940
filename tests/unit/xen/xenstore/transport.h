// SPDX-License-Identifier: MIT
/*
 * The way between a client of these tests and the store. The same tests are linked twice: straight into the store, and
 * over what guests and tools really have, the ring of domain 1 and the Unix socket of domain 0.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "xen/xenstore/xenstore.h"

struct transport;

/* FALSE: there are no connections that a test could look into. */
extern const bool TRANSPORT_IS_DIRECT;

/* NULL: straight into the store. */
struct transport *transport_new(struct xenstore *store, uint16_t domid);
void transport_free(struct transport *transport);
/* All of it, and whatever comes back meanwhile is appended to received. */
void transport_send(struct transport *transport, const void *bytes, size_t len_bytes, GByteArray *received);
/* Until nothing comes any more. */
void transport_receive(struct transport *transport, GByteArray *received);
