// SPDX-License-Identifier: MIT
/*
 * --trace: what passes between guest and hypervisor, as lines of JSON. Each line is one write, so lines of several
 * threads do not mix. docs/trace.md describes the keys.
 *
 * What the kernel answers by itself (sends of bound ports but the xenstore's, yield, poll, timers) is not seen here.
 * Thread: any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct hypercall;
struct record;

enum trace_kind { TRACE_HYPERCALL = 1, TRACE_EVTCHN = 2, TRACE_XENSTORE = 4 };

struct trace {
	unsigned int kinds; /* of enum trace_kind; 0: nothing is traced */
	int fd;
	const struct record *record; /* for its clock */
};

/* "hypercall,evtchn,xenstore" or a part of it. FALSE and DOM1_STATUS_USAGE. */
gboolean trace_parse_kinds(const char *text, unsigned int *kinds, GError **error);

static inline bool trace_wants(const struct trace *trace, enum trace_kind kind)
{
	return (trace->kinds & kind) != 0;
}

void trace_hypercall(const struct trace *trace, unsigned int vcpu, const struct hypercall *call, int64_t result);

/* An operation on the table of event channels, after it was done. port 0: it has none. */
void trace_evtchn(const struct trace *trace, unsigned int vcpu, const char *operation, uint32_t port, int64_t result);

/* Puts the messages of one direction of a xenstore connection together again. */
struct trace_xenstore {
	const struct trace *trace;
	bool from_guest;
	uint32_t filled_bytes;
	uint8_t message[16 + 4096];
};
void trace_xenstore_bytes(struct trace_xenstore *stream, const void *bytes, size_t len_bytes);
