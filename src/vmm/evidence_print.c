// SPDX-License-Identifier: MIT
/* The machine may have been taken over by its guest: numbers are clamped, text is bounded and cleaned. */
#include "vmm/evidence_print.h"

#include <inttypes.h>
#include <string.h>

#include <linux/kvm.h>

#include "vmm/json_members.h"
#include "vmm/record.h"
#include "vmm/symbols.h"
#include "vmm/trace.h"

#define TAIL_LINES           12
#define STACK_SYMBOLS        16
#define STACK_FUNCTION_BYTES 0x8000
#define PV_GUEST_KERNEL_CS   0xe033

static const char *const PORT_KINDS[] = { "free", "unbound", "loopback", "backend", "virq", "ipi" };
static const char *const DEVICE_STATES[] = { "Unknown", "Initialising", "InitWait", "Initialised", "Connected",
					     "Closing", "Closed", "Reconfiguring", "Reconfigured" };

static const char *word(const char *const *words, size_t n, uint32_t index)
{
	return index < n ? words[index] : "?";
}

static const char *run_state(uint32_t mp_state)
{
	switch (mp_state) {
	case KVM_MP_STATE_RUNNABLE:
		return "running";
	case KVM_MP_STATE_UNINITIALIZED:
		return "not started";
	case KVM_MP_STATE_INIT_RECEIVED:
		return "waits for SIPI";
	case KVM_MP_STATE_HALTED:
		return "halted";
	default:
		return "unknown";
	}
}

/* Who executes at this code segment. A shim is in ring 0, and all of its guest in ring 3. */
static const char *code_owner(const struct evidence *evidence, uint16_t cs)
{
	if ((cs & 3) == 0)
		return evidence->has_shim ? "shim" : "guest kernel";
	return cs == PV_GUEST_KERNEL_CS ? "guest kernel" : "guest program";
}

static char *symbol_text(const struct evidence *evidence, const struct symbols *symbols,
			 const struct evidence_registers *registers)
{
	uint64_t offset_bytes;
	bool in_shim = evidence->has_shim && (registers->cs & 3) == 0;
	const char *name = in_shim ? NULL : symbols_lookup(symbols, registers->rip, &offset_bytes);

	return name ? g_strdup_printf(" %s+0x%" PRIx64, name, offset_bytes) : g_strdup("");
}

/* A copy of the tail's bytes, oldest first, as printable ASCII and newlines. */
static char *tail_text(const struct evidence_tail *tail)
{
	uint32_t total_bytes = atomic_load(&tail->total_bytes);
	uint32_t len_bytes = MIN(total_bytes, (uint32_t)EVIDENCE_TAIL_BYTES);
	GString *text = g_string_sized_new(len_bytes);

	for (uint32_t i = total_bytes - len_bytes; i != total_bytes; i++) {
		char c = tail->bytes[i % EVIDENCE_TAIL_BYTES];

		if (c == '\n' || g_ascii_isprint(c))
			g_string_append_c(text, c);
		else if (c == '\t')
			g_string_append_c(text, ' ');
		else if (c != '\r' && c != '\0')
			g_string_append_c(text, '?');
	}
	return g_string_free(text, FALSE);
}

static void print_tail(FILE *stream, const char *title, const struct evidence_tail *tail)
{
	g_autofree char *text = tail_text(tail);
	g_auto(GStrv) lines = g_strsplit(g_strstrip(text), "\n", -1);
	guint n = g_strv_length(lines);

	if (n == 0)
		return;
	fprintf(stream, "  %s\n", title);
	for (guint i = n > TAIL_LINES ? n - TAIL_LINES : 0; i < n; i++)
		fprintf(stream, "    | %s\n", lines[i]);
}

static void print_registers(FILE *stream, const struct evidence_registers *r)
{
	fprintf(stream,
		"    rax %016" PRIx64 " rbx %016" PRIx64 " rcx %016" PRIx64 " rdx %016" PRIx64 "\n"
		"    rsi %016" PRIx64 " rdi %016" PRIx64 " rbp %016" PRIx64 " rsp %016" PRIx64 "\n"
		"    r8  %016" PRIx64 " r9  %016" PRIx64 " r10 %016" PRIx64 " r11 %016" PRIx64 "\n"
		"    r12 %016" PRIx64 " r13 %016" PRIx64 " r14 %016" PRIx64 " r15 %016" PRIx64 "\n",
		r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8, r->r9, r->r10, r->r11, r->r12, r->r13,
		r->r14, r->r15);
}

/* The symbols whose addresses lie on the guest's stack: a backtrace, with what older calls left between. */
static void stack_symbols(const struct evidence_vcpu *vcpu, const struct symbols *symbols,
			  void (*fn)(void *opaque, const char *text), void *opaque)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < MIN(vcpu->n_stack_words, (uint32_t)EVIDENCE_STACK_WORDS) && n < STACK_SYMBOLS; i++) {
		uint64_t offset_bytes;
		const char *name = symbols_lookup(symbols, vcpu->stack[i], &offset_bytes);

		/* A return address lies behind a call, never at a function's beginning. */
		if (!name || offset_bytes == 0 || offset_bytes > STACK_FUNCTION_BYTES)
			continue;
		g_autofree char *text = g_strdup_printf("%s+0x%" PRIx64, name, offset_bytes);
		fn(opaque, text);
		n++;
	}
}

static void print_stack_symbol(void *opaque, const char *text)
{
	fprintf(opaque, "    | %s\n", text);
}

static void add_stack_symbol(void *opaque, const char *text)
{
	json_array_append_new(opaque, json_any_string(text));
}

static void print_vcpu(FILE *stream, const struct evidence *evidence, const struct evidence_vcpu *vcpu, const struct symbols *symbols)
{
	g_autofree char *symbol = symbol_text(evidence, symbols, &vcpu->registers);

	fprintf(stream, "  vCPU %u, %s", vcpu->number, run_state(vcpu->mp_state));
	if (vcpu->mp_state == KVM_MP_STATE_UNINITIALIZED) {
		fputc('\n', stream);
		return;
	}
	fprintf(stream, ", in the %s: rip %016" PRIx64 "%s\n", code_owner(evidence, vcpu->registers.cs), vcpu->registers.rip, symbol);
	print_registers(stream, &vcpu->registers);
	fprintf(stream, "    cr0 %08" PRIx64 " cr2 %016" PRIx64 " cr3 %012" PRIx64 " cr4 %08" PRIx64 " efer %04" PRIx64
		" rflags %08" PRIx64 "\n", vcpu->cr0, vcpu->cr2, vcpu->cr3, vcpu->cr4, vcpu->efer, vcpu->registers.rflags);
	if (vcpu->has_guest_registers) {
		g_autofree char *guest_symbol = symbol_text(evidence, symbols, &vcpu->guest);

		fprintf(stream, "  vCPU %u, in the %s before that: rip %016" PRIx64 "%s\n", vcpu->number,
			code_owner(evidence, vcpu->guest.cs), vcpu->guest.rip, guest_symbol);
		print_registers(stream, &vcpu->guest);
	}
	if (symbols && vcpu->n_stack_words > 0) {
		fprintf(stream, "  vCPU %u, on the guest kernel's stack:\n", vcpu->number);
		stack_symbols(vcpu, symbols, print_stack_symbol, stream);
	}
}

static void print_ports(FILE *stream, const struct evidence *evidence)
{
	uint32_t n_ports = MIN(evidence->n_ports, (uint32_t)EVIDENCE_MAX_PORTS);

	for (uint32_t i = 0; i < n_ports; i++) {
		const struct evidence_port *port = &evidence->ports[i];

		if (port->pending || port->masked)
			fprintf(stream, "  event channel %u (%s, vCPU %u):%s%s\n", port->port,
				word(PORT_KINDS, G_N_ELEMENTS(PORT_KINDS), port->kind), port->vcpu,
				port->pending ? " pending" : "", port->masked ? " masked" : "");
	}
}

/* to: room_bytes as well. */
static void copy_text(char *to, const char *from, size_t room_bytes)
{
	/* Not g_strlcpy(): that reads on to the end of its source, which may have none. */
	memcpy(to, from, room_bytes);
	to[room_bytes - 1] = '\0';
	for (char *c = to; *c; c++)
		if (!g_ascii_isprint(*c))
			*c = '?';
}

static void print_device(FILE *stream, const struct evidence_device *device)
{
	char path[sizeof(device->path)], note[sizeof(device->note)];

	copy_text(path, device->path, sizeof(path));
	copy_text(note, device->note, sizeof(note));
	fprintf(stream, "  %s: frontend %s, backend %s%s%s\n", path,
		word(DEVICE_STATES, G_N_ELEMENTS(DEVICE_STATES), device->frontend_state),
		word(DEVICE_STATES, G_N_ELEMENTS(DEVICE_STATES), device->backend_state), note[0] ? ", " : "", note);
}

/* Oldest first. */
static void each_call(const struct evidence_calls *calls, void (*fn)(void *opaque, const struct evidence_call *call), void *opaque)
{
	const uint32_t n = atomic_load(&calls->n);

	for (uint32_t i = n - MIN(n, (uint32_t)EVIDENCE_CALLS); i != n; i++)
		fn(opaque, &calls->calls[i % EVIDENCE_CALLS]);
}

static void print_call(void *opaque, const struct evidence_call *call)
{
	FILE *stream = opaque;

	fprintf(stream, "    | %s (0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 ")", trace_hypercall_name(call->number),
		call->arguments[0], call->arguments[1], call->arguments[2]);
	if (call->has_returned)
		fprintf(stream, " = %" PRIi64 "\n", call->result);
	else
		fputs(": not returned\n", stream);
}

static void print_calls(FILE *stream, const struct evidence *evidence)
{
	for (uint32_t i = 0; i < EVIDENCE_MAX_VCPUS; i++) {
		if (atomic_load(&evidence->calls[i].n) == 0)
			continue;
		fprintf(stream, "  vCPU %u, last hypercalls:\n", i);
		each_call(&evidence->calls[i], print_call, stream);
	}
}

void evidence_print(FILE *stream, const struct record *record, const struct symbols *symbols, bool with_console)
{
	const struct evidence *evidence = &record->evidence;

	if (atomic_load(&evidence->collected)) {
		for (uint32_t i = 0; i < MIN(evidence->n_vcpus, (uint32_t)EVIDENCE_MAX_VCPUS); i++)
			print_vcpu(stream, evidence, &evidence->vcpus[i], symbols);
		print_ports(stream, evidence);
		for (uint32_t i = 0; i < MIN(evidence->n_devices, (uint32_t)EVIDENCE_MAX_DEVICES); i++)
			print_device(stream, &evidence->devices[i]);
	}
	print_calls(stream, evidence);
	print_tail(stream, evidence->has_shim ? "last lines of the shim's log:" : "last lines of the hypervisor console:", &evidence->shim);
	if (with_console)
		print_tail(stream, "last lines of the console:", &evidence->console);
}

static void add_registers(json_t *vcpu, const char *key, const struct evidence *evidence, const struct evidence_registers *r,
			  const struct symbols *symbols)
{
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{ "rip", r->rip }, { "rsp", r->rsp }, { "rflags", r->rflags }, { "rax", r->rax }, { "rbx", r->rbx },
		{ "rcx", r->rcx }, { "rdx", r->rdx }, { "rsi", r->rsi },	 { "rdi", r->rdi }, { "rbp", r->rbp },
		{ "r8", r->r8 },   { "r9", r->r9 },   { "r10", r->r10 },	 { "r11", r->r11 }, { "r12", r->r12 },
		{ "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },	 { "cs", r->cs },   { "ss", r->ss },
	};
	g_autofree char *symbol = symbol_text(evidence, symbols, r);
	json_t *registers = json_add_object(vcpu, key);

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++)
		json_add_hex(registers, values[i].name, values[i].value);
	json_add_string(registers, "in", code_owner(evidence, r->cs));
	if (symbol[0] != '\0')
		json_add_string(registers, "symbol", symbol + 1);
}

static void add_vcpus(json_t *members, const struct evidence *evidence, const struct symbols *symbols)
{
	json_t *vcpus = json_add_array(members, "vcpus");

	for (uint32_t i = 0; i < MIN(evidence->n_vcpus, (uint32_t)EVIDENCE_MAX_VCPUS); i++) {
		const struct evidence_vcpu *vcpu = &evidence->vcpus[i];
		json_t *json = json_append_object(vcpus);

		json_add_number(json, "vcpu", vcpu->number);
		json_add_string(json, "state", run_state(vcpu->mp_state));
		add_registers(json, "registers", evidence, &vcpu->registers, symbols);
		json_add_hex(json, "cr0", vcpu->cr0);
		json_add_hex(json, "cr2", vcpu->cr2);
		json_add_hex(json, "cr3", vcpu->cr3);
		json_add_hex(json, "cr4", vcpu->cr4);
		json_add_hex(json, "efer", vcpu->efer);
		if (vcpu->has_guest_registers)
			add_registers(json, "guest_registers", evidence, &vcpu->guest, symbols);
		stack_symbols(vcpu, symbols, add_stack_symbol, json_add_array(json, "stack_symbols"));
	}
}

static void add_ports(json_t *members, const struct evidence *evidence)
{
	json_t *ports = json_add_array(members, "event_channels");

	for (uint32_t i = 0; i < MIN(evidence->n_ports, (uint32_t)EVIDENCE_MAX_PORTS); i++) {
		const struct evidence_port *port = &evidence->ports[i];
		json_t *json = json_append_object(ports);

		json_add_number(json, "port", port->port);
		json_add_string(json, "kind", word(PORT_KINDS, G_N_ELEMENTS(PORT_KINDS), port->kind));
		json_add_number(json, "vcpu", port->vcpu);
		json_add_boolean(json, "pending", port->pending != 0);
		json_add_boolean(json, "masked", port->masked != 0);
	}
}

static void add_devices(json_t *members, const struct evidence *evidence)
{
	char path[sizeof(evidence->devices[0].path)], note[sizeof(evidence->devices[0].note)];
	json_t *devices = json_add_array(members, "devices");

	for (uint32_t i = 0; i < MIN(evidence->n_devices, (uint32_t)EVIDENCE_MAX_DEVICES); i++) {
		const struct evidence_device *device = &evidence->devices[i];
		json_t *json = json_append_object(devices);

		copy_text(path, device->path, sizeof(path));
		copy_text(note, device->note, sizeof(note));
		json_add_string(json, "path", path);
		json_add_string(json, "frontend", word(DEVICE_STATES, G_N_ELEMENTS(DEVICE_STATES), device->frontend_state));
		json_add_string(json, "backend", word(DEVICE_STATES, G_N_ELEMENTS(DEVICE_STATES), device->backend_state));
		if (note[0])
			json_add_string(json, "note", note);
	}
}

static void add_call(void *opaque, const struct evidence_call *call)
{
	json_t *json = json_append_object(opaque);

	json_add_string(json, "name", trace_hypercall_name(call->number));
	json_add_number(json, "number", call->number);
	json_add_hex_array(json, "arguments", call->arguments, G_N_ELEMENTS(call->arguments));
	if (call->has_returned)
		json_add_number(json, "result", call->result);
}

static void add_calls(json_t *members, const struct evidence *evidence)
{
	json_t *vcpus = json_add_array(members, "last_hypercalls");

	for (uint32_t i = 0; i < EVIDENCE_MAX_VCPUS; i++) {
		if (atomic_load(&evidence->calls[i].n) == 0)
			continue;
		json_t *json = json_append_object(vcpus);
		json_add_number(json, "vcpu", i);
		each_call(&evidence->calls[i], add_call, json_add_array(json, "calls"));
	}
}

void evidence_add_json(json_t *report, const struct record *record, const struct symbols *symbols)
{
	const struct evidence *evidence = &record->evidence;
	g_autofree char *console = tail_text(&evidence->console);
	g_autofree char *shim = tail_text(&evidence->shim);
	json_t *members = json_add_object(report, "evidence");

	if (atomic_load(&evidence->collected)) {
		add_vcpus(members, evidence, symbols);
		add_ports(members, evidence);
		add_devices(members, evidence);
	}
	add_calls(members, evidence);
	json_add_string(members, "shim_log_tail", shim);
	json_add_string(members, "console_tail", console);
}
