/* SPDX-License-Identifier: MIT */
#pragma once

#include "guest.h"

#include <xen/io/xs_wire.h>

extern unsigned int xenstore_events; /* of watches, so far */

void xenstore_init(void);
/* FALSE: an error, or no answer. transaction 0: none. Events that come before the answer are counted. */
bool xenstore_call(uint32_t type, uint32_t transaction, const char *payload, size_t len_bytes, char answer[XENSTORE_PAYLOAD_MAX + 1]);
/* Those that are there. */
void xenstore_take_events(char answer[XENSTORE_PAYLOAD_MAX + 1]);
