// SPDX-License-Identifier: MIT
#include "vmm/trace.h"

#include <string.h>
#include <unistd.h>

#include "xen/abi.h"
#include <xen/io/xs_wire.h>

#include "vmm/error.h"
#include "vmm/json_members.h"
#include "vmm/record.h"
#include "xen/hypercall.h"

static const char *const KIND_NAMES[] = { "hypercall", "evtchn", "xenstore", "grant", "xenbus", "lend" };
static const char *const STATE_NAMES[] = { "Unknown", "Initialising", "InitWait", "Initialised", "Connected",
					   "Closing", "Closed", "Reconfiguring", "Reconfigured" };

static const char *const HYPERCALL_NAMES[] = {
	[__HYPERVISOR_memory_op] = "memory_op",
	[__HYPERVISOR_set_timer_op] = "set_timer_op",
	[__HYPERVISOR_xen_version] = "xen_version",
	[__HYPERVISOR_console_io] = "console_io",
	[__HYPERVISOR_grant_table_op] = "grant_table_op",
	[__HYPERVISOR_vm_assist] = "vm_assist",
	[__HYPERVISOR_vcpu_op] = "vcpu_op",
	[__HYPERVISOR_sched_op] = "sched_op",
	[__HYPERVISOR_event_channel_op] = "event_channel_op",
	[__HYPERVISOR_physdev_op] = "physdev_op",
	[__HYPERVISOR_hvm_op] = "hvm_op",
};

static const char *const XENSTORE_NAMES[] = {
	[XS_CONTROL] = "CONTROL",
	[XS_DIRECTORY] = "DIRECTORY",
	[XS_READ] = "READ",
	[XS_GET_PERMS] = "GET_PERMS",
	[XS_WATCH] = "WATCH",
	[XS_UNWATCH] = "UNWATCH",
	[XS_TRANSACTION_START] = "TRANSACTION_START",
	[XS_TRANSACTION_END] = "TRANSACTION_END",
	[XS_INTRODUCE] = "INTRODUCE",
	[XS_RELEASE] = "RELEASE",
	[XS_GET_DOMAIN_PATH] = "GET_DOMAIN_PATH",
	[XS_WRITE] = "WRITE",
	[XS_MKDIR] = "MKDIR",
	[XS_RM] = "RM",
	[XS_SET_PERMS] = "SET_PERMS",
	[XS_WATCH_EVENT] = "WATCH_EVENT",
	[XS_ERROR] = "ERROR",
	[XS_IS_DOMAIN_INTRODUCED] = "IS_DOMAIN_INTRODUCED",
	[XS_RESUME] = "RESUME",
	[XS_SET_TARGET] = "SET_TARGET",
	[XS_RESET_WATCHES] = "RESET_WATCHES",
	[XS_DIRECTORY_PART] = "DIRECTORY_PART",
};

gboolean trace_parse_kinds(const char *text, unsigned int *kinds, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	*kinds = 0;
	for (char **word = words; *word; word++) {
		unsigned int kind = 0;

		for (unsigned int i = 0; i < G_N_ELEMENTS(KIND_NAMES); i++)
			if (strcmp(*word, KIND_NAMES[i]) == 0)
				kind = 1u << i;
		if (kind == 0) {
			*kinds = 0;
			break;
		}
		*kinds |= kind;
	}
	if (*kinds == 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "--trace=%s: must be of hypercall, evtchn, grant, xenbus, xenstore, lend, with commas between", text);
	return *kinds != 0;
}

static const char *name_of(const char *const *names, size_t n, uint64_t index)
{
	return index < n && names[index] ? names[index] : "unknown";
}

static json_t *begin_line(const struct trace *trace, const char *kind)
{
	json_t *json = json_object();

	json_add_number(json, "t_ns", (int64_t)record_now_ns(trace->record));
	json_add_string(json, "trace", kind);
	return json;
}

/* Its strings are printable ASCII, ours or made so: nothing is left to be escaped for a terminal. */
/* syscalls(main, vcpu, io, io_sync, memory, flush): write */
static void end_line(const struct trace *trace, json_t *json)
{
	g_autofree char *text = json_dumps(json, JSON_COMPACT);
	g_autofree char *line = g_strconcat(text, "\n", NULL);

	/* A trace that cannot be written is no reason to stop the guest. */
	ssize_t written = write(trace->fd, line, strlen(line));
	(void)written;
	json_decref(json);
}

void trace_hypercall(const struct trace *trace, unsigned int vcpu, const struct hypercall *call, int64_t result)
{
	json_t *json = begin_line(trace, "hypercall");

	json_add_number(json, "vcpu", vcpu);
	json_add_string(json, "name", trace_hypercall_name(call->number));
	json_add_number(json, "number", (int64_t)call->number);
	json_add_hex_array(json, "arguments", call->arguments, G_N_ELEMENTS(call->arguments));
	json_add_number(json, "cpl", call->cpl);
	json_add_number(json, "result", result);
	end_line(trace, json);
}

void trace_evtchn(const struct trace *trace, unsigned int vcpu, const char *operation, uint32_t port, int64_t result)
{
	json_t *json = begin_line(trace, "evtchn");

	json_add_number(json, "vcpu", vcpu);
	json_add_string(json, "operation", operation);
	if (port != 0)
		json_add_number(json, "port", port);
	json_add_number(json, "result", result);
	end_line(trace, json);
}

const char *trace_hypercall_name(uint64_t number)
{
	return name_of(HYPERCALL_NAMES, G_N_ELEMENTS(HYPERCALL_NAMES), number);
}

void trace_grant(const struct trace *trace, int vcpu, const char *operation, int64_t ref, uint64_t n, int64_t result)
{
	json_t *json = begin_line(trace, "grant");

	if (vcpu >= 0)
		json_add_number(json, "vcpu", vcpu);
	json_add_string(json, "operation", operation);
	if (ref >= 0)
		json_add_number(json, "ref", ref);
	json_add_count(json, "n", n);
	json_add_number(json, "result", result);
	end_line(trace, json);
}

void trace_xenbus(const struct trace *trace, const char *device, const char *side, unsigned int state)
{
	json_t *json = begin_line(trace, "xenbus");

	json_add_string(json, "device", device);
	json_add_string(json, "side", side);
	json_add_string(json, "state", name_of(STATE_NAMES, G_N_ELEMENTS(STATE_NAMES), state));
	end_line(trace, json);
}

void trace_lend(const struct trace *trace, const char *event, unsigned int window, uint64_t page, uint64_t n_pages)
{
	json_t *json = begin_line(trace, "lend");

	json_add_string(json, "event", event);
	json_add_number(json, "window", window);
	json_add_count(json, "page", page);
	json_add_count(json, "n_pages", n_pages);
	end_line(trace, json);
}

static void trace_message(const struct trace_xenstore *stream, const struct xsd_sockmsg *header, const char *body)
{
	json_t *json = begin_line(stream->trace, "xenstore");
	GString *text = g_string_new(NULL);

	json_add_string(json, "from", stream->from_guest ? "guest" : "store");
	json_add_string(json, "type", name_of(XENSTORE_NAMES, G_N_ELEMENTS(XENSTORE_NAMES), header->type));
	json_add_number(json, "request", header->req_id);
	if (header->tx_id != 0)
		json_add_number(json, "transaction", header->tx_id);
	/* Strings between NULs, and whatever else a guest may have put there. */
	for (uint32_t i = 0; i < header->len; i++) {
		if (g_ascii_isprint(body[i]))
			g_string_append_c(text, body[i]);
		else if (body[i] == '\0' && i + 1 < header->len)
			g_string_append_c(text, ' ');
		else if (body[i] != '\0')
			g_string_append_printf(text, "\\x%02x", (unsigned char)body[i]);
	}
	json_add_string(json, "body", text->str);
	g_string_free(text, TRUE);
	end_line(stream->trace, json);
}

void trace_xenstore_bytes(struct trace_xenstore *stream, const void *bytes, size_t len_bytes)
{
	const uint8_t *from = bytes;

	while (len_bytes > 0) {
		struct xsd_sockmsg header;
		size_t wanted_bytes = sizeof(header);

		if (stream->filled_bytes >= sizeof(header)) {
			memcpy(&header, stream->message, sizeof(header));
			/* A broken stream: the store has cut it off, and there is nothing left to follow. */
			if (header.len > sizeof(stream->message) - sizeof(header))
				return;
			wanted_bytes = sizeof(header) + header.len;
		}
		size_t piece_bytes = MIN(len_bytes, wanted_bytes - stream->filled_bytes);
		memcpy(stream->message + stream->filled_bytes, from, piece_bytes);
		stream->filled_bytes += (uint32_t)piece_bytes;
		from += piece_bytes;
		len_bytes -= piece_bytes;
		if (stream->filled_bytes < sizeof(header))
			continue;
		memcpy(&header, stream->message, sizeof(header));
		if (stream->filled_bytes == sizeof(header) + header.len) {
			trace_message(stream, &header, (const char *)stream->message + sizeof(header));
			stream->filled_bytes = 0;
		}
	}
}
