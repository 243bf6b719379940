// SPDX-License-Identifier: MIT
/* Evidence as a person and as a program get it, from a good record and from one that a hostile machine has filled. */
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <linux/kvm.h>

#include "vmm/evidence_print.h"
#include "vmm/json_members.h"
#include "vmm/record.h"
#include "vmm/symbols.h"
#include "xen/evtchn.h"

#define ROUNDS        100
#define SHIM_CS       0xe008
#define PV_KERNEL_CS  0xe033
#define PV_PROGRAM_CS 0x33

static const char map_text[] = "ffffffff81000000 T early_function\n"
			       "ffffffff81001000 t panic_here\n"
			       "ffffffff81002000 T caller\n"
			       "ffffffff81003000 T _end\n";

static struct symbols *make_symbols(void)
{
	return symbols_parse((const uint8_t *)map_text, strlen(map_text), "map", NULL);
}

static void put_tail(struct evidence_tail *tail, const char *text, uint32_t before_bytes)
{
	size_t len_bytes = strlen(text);

	for (size_t i = 0; i < len_bytes; i++)
		tail->bytes[(before_bytes + i) % EVIDENCE_TAIL_BYTES] = text[i];
	atomic_store(&tail->total_bytes, before_bytes + (uint32_t)len_bytes);
}

/* The guest's kernel has panicked inside the shim; a second vCPU never started. */
static struct record *make_record(void)
{
	struct record *record = record_new(0);
	struct evidence *evidence = &record->evidence;
	struct evidence_vcpu *vcpu = &evidence->vcpus[0];

	evidence->has_shim = true;
	evidence->n_vcpus = 2;
	vcpu->mp_state = KVM_MP_STATE_HALTED;
	vcpu->registers = (struct evidence_registers){ .rip = 0xffff82d040200000, .cs = SHIM_CS, .rax = 0x1234 };
	vcpu->cr2 = 0xdead;
	vcpu->has_guest_registers = true;
	vcpu->guest = (struct evidence_registers){ .rip = 0xffffffff81001042, .cs = PV_KERNEL_CS, .r15 = UINT64_MAX };
	vcpu->stack[0] = 7;
	vcpu->stack[1] = 0xffffffff81002010;
	vcpu->stack[2] = 0xffffffff81000000;
	vcpu->stack[3] = 0xffffffff81000004;
	vcpu->n_stack_words = 4;
	evidence->vcpus[1] = (struct evidence_vcpu){ .number = 1, .mp_state = KVM_MP_STATE_UNINITIALIZED };
	evidence->n_ports = 3;
	evidence->ports[0] = (struct evidence_port){ .port = 2, .kind = EVTCHN_VIRQ, .pending = true, .masked = true };
	evidence->ports[1] = (struct evidence_port){ .port = 5, .kind = EVTCHN_IPI, .vcpu = 1 };
	evidence->ports[2] = (struct evidence_port){ .port = 9, .kind = EVTCHN_IPI, .vcpu = 1, .masked = true };
	evidence->n_devices = 1;
	evidence->devices[0] = (struct evidence_device){ "device/vbd/51712", 4, 2 };
	strcpy(evidence->devices[0].note, "ring-ref never written");
	/* More than there is room for: the oldest are gone. The last has not returned. */
	for (uint32_t i = 0; i < EVIDENCE_CALLS + 2; i++)
		evidence->calls[0].calls[i % EVIDENCE_CALLS] = (struct evidence_call){ .arguments = { i, 0xabc, 3 }, .number = 32,
										 .result = -22, .has_returned = i <= EVIDENCE_CALLS };
	atomic_store(&evidence->calls[0].n, EVIDENCE_CALLS + 2);
	put_tail(&evidence->shim, "(XEN) first\r\n(XEN) last\n", 0);
	put_tail(&evidence->console, "Kernel panic\n", 0);
	atomic_store(&evidence->collected, 1);
	return record;
}

static char *print(const struct record *record, const struct symbols *symbols, bool with_console)
{
	char *text = NULL;
	size_t len_bytes = 0;
	FILE *stream = open_memstream(&text, &len_bytes);

	g_assert_nonnull(stream);
	evidence_print(stream, record, symbols, with_console);
	fclose(stream);
	/* Nothing that a terminal obeys; and each line is indented, so that the message before it stays the only one. */
	for (size_t i = 0; i < len_bytes; i++) {
		g_assert_true(g_ascii_isprint(text[i]) || text[i] == '\n');
		if (i == 0 || text[i - 1] == '\n')
			g_assert_true(g_str_has_prefix(text + i, "  "));
	}
	g_assert_true(len_bytes == 0 || text[len_bytes - 1] == '\n');
	return text;
}

/* The report with the evidence in it; the caller's. */
static json_t *to_json(const struct record *record, const struct symbols *symbols)
{
	g_autoptr(json_t) built = json_object();
	json_error_t error;

	evidence_add_json(built, record, symbols);
	g_autofree char *text = json_dumps(built, JSON_INDENT(2));
	for (const char *c = text; *c; c++)
		g_assert_true(g_ascii_isprint(*c) || *c == '\n');
	json_t *parsed = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!parsed)
		g_error("%s", error.text);
	g_assert_true(json_equal(built, parsed));
	return parsed;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void expect_line(const char *text, const char *line)
{
	g_autofree char *whole = g_strdup_printf("\n%s\n", line);
	g_autofree char *from = g_strdup_printf("\n%s", text);

	if (!strstr(from, whole))
		g_error("no line \"%s\" in:\n%s", line, text);
}

static void test_person(void)
{
	struct record *record = make_record();
	struct symbols *symbols = make_symbols();
	g_autofree char *text = print(record, symbols, true);

	/* The shim's own address has no name in the guest's map. */
	expect_line(text, "  vCPU 0, halted, in the shim: rip ffff82d040200000");
	expect_line(text, "  vCPU 0, in the guest kernel before that: rip ffffffff81001042 panic_here+0x42");
	g_assert_nonnull(strstr(text, "    rax 0000000000001234 rbx "));
	g_assert_nonnull(strstr(text, " cr2 000000000000dead "));
	g_assert_nonnull(strstr(text, " r15 ffffffffffffffff\n"));
	/* Return addresses lie behind a call: early_function+0 is none. */
	expect_line(text, "  vCPU 0, on the guest kernel's stack:\n    | caller+0x10\n    | early_function+0x4");
	g_assert_null(strstr(text, "early_function+0x0"));
	expect_line(text, "  vCPU 1, not started");
	expect_line(text, "  event channel 2 (virq, vCPU 0): pending masked\n  event channel 9 (ipi, vCPU 1): masked");
	g_assert_null(strstr(text, "event channel 5"));
	expect_line(text, "  device/vbd/51712: frontend Connected, backend InitWait, ring-ref never written");
	expect_line(text, "  vCPU 0, last hypercalls:\n    | event_channel_op (0x2, 0xabc, 0x3) = -22");
	expect_line(text, "    | event_channel_op (0x10, 0xabc, 0x3) = -22\n    | event_channel_op (0x11, 0xabc, 0x3): not returned");
	expect_line(text, "  last lines of the shim's log:\n    | (XEN) first\n    | (XEN) last");
	expect_line(text, "  last lines of the console:\n    | Kernel panic");
	symbols_free(symbols);
}

static void test_without(void)
{
	struct record *record = make_record();
	g_autofree char *text = print(record, NULL, false);

	/* Neither symbols nor, for who has seen it pass by, the console. */
	expect_line(text, "  vCPU 0, in the guest kernel before that: rip ffffffff81001042");
	g_assert_null(strstr(text, "stack"));
	g_assert_null(strstr(text, "Kernel panic"));
	/* The machine was killed before it could collect: the logs are there all the same. */
	atomic_store(&record->evidence.collected, 0);
	g_autofree char *less = print(record, NULL, true);
	g_assert_null(strstr(less, "vCPU 0, halted"));
	expect_line(less, "    | event_channel_op (0x11, 0xabc, 0x3): not returned");
	expect_line(less, "    | (XEN) last");
	expect_line(less, "    | Kernel panic");
	/* Without a shim, ring 0 is the guest's kernel. */
	atomic_store(&record->evidence.collected, 1);
	record->evidence.has_shim = false;
	g_autofree char *pvh = print(record, NULL, false);
	g_assert_nonnull(strstr(pvh, "  vCPU 0, halted, in the guest kernel: rip "));
	expect_line(pvh, "  last lines of the hypervisor console:\n    | (XEN) first\n    | (XEN) last");
	g_autofree char *nothing = print(record_new(0), NULL, true);
	g_assert_cmpstr(nothing, ==, "");
}

static void test_program(void)
{
	struct record *record = make_record();
	struct symbols *symbols = make_symbols();
	g_autoptr(json_t) report = to_json(record, symbols);
	const json_t *evidence = json_object_get(report, "evidence");
	const json_t *vcpu = json_array_get(json_object_get(evidence, "vcpus"), 0);
	const json_t *guest = json_object_get(vcpu, "guest_registers");
	const json_t *stack = json_object_get(vcpu, "stack_symbols");
	const json_t *port = json_array_get(json_object_get(evidence, "event_channels"), 0);
	const json_t *device = json_array_get(json_object_get(evidence, "devices"), 0);

	g_assert_cmpstr(text_of(vcpu, "state"), ==, "halted");
	g_assert_cmpstr(text_of(guest, "symbol"), ==, "panic_here+0x42");
	g_assert_cmpstr(text_of(guest, "rip"), ==, "0xffffffff81001042");
	g_assert_cmpstr(text_of(guest, "in"), ==, "guest kernel");
	g_assert_true(json_is_object(json_object_get(vcpu, "registers")));
	g_assert_null(json_object_get(json_object_get(vcpu, "registers"), "symbol"));
	g_assert_cmpuint(json_array_size(stack), ==, 2);
	g_assert_cmpstr(json_string_value(json_array_get(stack, 0)), ==, "caller+0x10");
	g_assert_cmpint(json_integer_value(json_object_get(port, "port")), ==, 2);
	g_assert_cmpstr(text_of(port, "kind"), ==, "virq");
	g_assert_true(json_is_true(json_object_get(port, "pending")));
	g_assert_cmpstr(text_of(device, "frontend"), ==, "Connected");
	g_assert_cmpstr(text_of(device, "note"), ==, "ring-ref never written");
	const json_t *calls = json_object_get(json_array_get(json_object_get(evidence, "last_hypercalls"), 0), "calls");
	g_assert_cmpuint(json_array_size(calls), ==, EVIDENCE_CALLS);
	g_assert_cmpint(json_integer_value(json_object_get(json_array_get(calls, 0), "result")), ==, -22);
	g_assert_null(json_object_get(json_array_get(calls, EVIDENCE_CALLS - 1), "result"));
	g_assert_cmpstr(text_of(evidence, "shim_log_tail"), ==, "(XEN) first\n(XEN) last\n");
	symbols_free(symbols);
}

/* The tail is a ring: the oldest bytes are cut, also when the count of all bytes has wrapped. */
static void test_long_tails(void)
{
	static const uint32_t before_bytes[] = { 0, 5, EVIDENCE_TAIL_BYTES - 1, UINT32_MAX - EVIDENCE_TAIL_BYTES + 1 };
	GString *lines = g_string_new(NULL);

	for (unsigned int i = 0; lines->len + 32 < EVIDENCE_TAIL_BYTES; i++)
		g_string_append_printf(lines, "line %u of many\n", i);
	g_autofree char *last = g_strdup(strrchr(g_strchomp(lines->str), '\n') + 1);
	for (size_t i = 0; i < G_N_ELEMENTS(before_bytes); i++) {
		struct record *record = record_new(0);

		put_tail(&record->evidence.console, lines->str, before_bytes[i]);
		g_autofree char *text = print(record, NULL, true);
		g_autofree char *expected = g_strdup_printf("    | %s", last);
		g_auto(GStrv) printed = g_strsplit(text, "\n", -1);

		expect_line(text, expected);
		/* A title, twelve lines, and what is behind the last newline. */
		g_assert_cmpuint(g_strv_length(printed), ==, 1 + 12 + 1);
	}
	g_string_free(lines, TRUE);
}

static void test_hostile_text(void)
{
	struct record *record = make_record();
	struct evidence *evidence = &record->evidence;

	put_tail(&evidence->console, "\x1b[2J\x9b" "31m\x07 owned \xff\n\tx\v\f\n", 0);
	memset(evidence->devices[0].path, '\x1b', sizeof(evidence->devices[0].path));
	g_autofree char *text = print(record, NULL, true);
	expect_line(text, "    | ?[2J?31m? owned ?\n    |  x??");
	g_assert_nonnull(strstr(text, "  ?????"));
	g_autoptr(json_t) report = to_json(record, NULL);
	g_assert_nonnull(report);
}

/* The names of a symbol table are bytes of a file that somebody gave: an ELF may hold anything there. */
static void test_hostile_symbols(void)
{
	static const char map[] = "ffffffff81001000 T bad\x1b[2Jname\n";
	const struct hostile_elf {
		Elf64_Ehdr header;
		Elf64_Shdr sections[3];
		Elf64_Sym symbol;
		char strings[16];
	} elf = {
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_shoff = offsetof(struct hostile_elf, sections), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3 },
		.sections = { { 0 },
			      { .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct hostile_elf, symbol),
				.sh_size = sizeof(elf.symbol), .sh_link = 2 },
			      { .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct hostile_elf, strings),
				.sh_size = sizeof(elf.strings) } },
		.symbol = { .st_name = 0, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_value = 0xffffffff81001000 },
		.strings = "bad\x1b[2Jname",
	};
	struct symbols *both[] = { symbols_parse((const uint8_t *)map, strlen(map), "map", NULL),
				   symbols_parse((const uint8_t *)&elf, sizeof(elf), "elf", NULL) };

	for (size_t i = 0; i < G_N_ELEMENTS(both); i++) {
		struct record *record = make_record();
		g_autofree char *text = print(record, both[i], false);
		g_autoptr(json_t) report = to_json(record, both[i]);

		expect_line(text, "  vCPU 0, in the guest kernel before that: rip ffffffff81001042 bad+0x42");
		const json_t *vcpu = json_array_get(json_object_get(json_object_get(report, "evidence"), "vcpus"), 0);
		g_assert_cmpstr(text_of(json_object_get(vcpu, "guest_registers"), "symbol"), ==, "bad+0x42");
		symbols_free(both[i]);
	}
}

/* Any bytes at all, in a record that ends where its memory ends. */
static void test_any_bytes(void)
{
	struct symbols *symbols = make_symbols();
	g_autofree struct record *record = g_malloc(sizeof(*record));

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint8_t *bytes = (uint8_t *)&record->evidence;

		if (i < 3)
			memset(bytes, i == 0 ? 0xff : i == 1 ? 0x41 : 0x80, sizeof(record->evidence));
		else
			for (size_t at = 0; at < sizeof(record->evidence); at++)
				bytes[at] = (uint8_t)g_test_rand_int();
		g_autofree char *text = print(record, symbols, true);
		g_autoptr(json_t) report = to_json(record, symbols);
		g_assert_nonnull(report);
	}
	symbols_free(symbols);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/evidence_print/person", test_person);
	g_test_add_func("/evidence_print/without", test_without);
	g_test_add_func("/evidence_print/program", test_program);
	g_test_add_func("/evidence_print/long-tails", test_long_tails);
	g_test_add_func("/evidence_print/hostile-text", test_hostile_text);
	g_test_add_func("/evidence_print/hostile-symbols", test_hostile_symbols);
	g_test_add_func("/evidence_print/any-bytes", test_any_bytes);
	return g_test_run();
}
