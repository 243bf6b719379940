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

enum trace_kind {
	TRACE_HYPERCALL = 1,
	TRACE_EVTCHN = 2,
	TRACE_XENSTORE = 4,
	TRACE_GRANT = 8,
	TRACE_XENBUS = 16,
	TRACE_LEND = 32,
};

struct trace {
	unsigned int kinds; /* of enum trace_kind; 0: nothing is traced */
	int fd;
	const struct record *record; /* for its clock */
};

/* "hypercall,evtchn,grant,xenbus,xenstore,lend" or a part of it. FALSE and DOM1_STATUS_USAGE. */
gboolean trace_parse_kinds(const char *text, unsigned int *kinds, GError **error);

static inline bool trace_wants(const struct trace *trace, enum trace_kind kind)
{
	return (trace->kinds & kind) != 0;
}

void trace_hypercall(const struct trace *trace, unsigned int vcpu, const struct hypercall *call, int64_t result);

/* An operation on the table of event channels, after it was done. port 0: it has none. */
void trace_evtchn(const struct trace *trace, unsigned int vcpu, const char *operation, uint32_t port, int64_t result);

/* "event_channel_op"; "unknown". */
const char *trace_hypercall_name(uint64_t number);

/* Of the guest's grants: an operation of its own with as many entries, or a back end's use of one (vcpu -1: no vCPU's). */
void trace_grant(const struct trace *trace, int vcpu, const char *operation, int64_t ref, uint64_t n, int64_t result);

/* A device is in another state: side "frontend" or "backend". */
void trace_xenbus(const struct trace *trace, const char *device, const char *side, unsigned int state);

/* Of a lend window: what happened to which pages. */
void trace_lend(const struct trace *trace, const char *event, unsigned int window, uint64_t page, uint64_t n_pages);

/* Puts the messages of one direction of a xenstore connection together again. */
struct trace_xenstore {
	const struct trace *trace;
	bool from_guest;
	uint32_t filled_bytes;
	uint8_t message[16 + 4096];
};
void trace_xenstore_bytes(struct trace_xenstore *stream, const void *bytes, size_t len_bytes);
