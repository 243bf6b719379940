// SPDX-License-Identifier: MIT
/*
 * shim_log.c, with a vm_end() and an evidence_tail_add() of the test's own. Needs src/xen/shim_log.c besides the core
 * library.
 *
 * The property: what is learned from the log depends on its lines alone, and not on how the shim cut them into calls,
 * nor on the NULs and carriage returns in between. The file gets every byte.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/record.h"
#include "vmm/vm.h"
#include "xen/shim_log.h"

/* Calls of vm_end(), one line each. */
static GString *ends;

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	va_list arguments;

	g_assert_nonnull(vm);
	g_string_append_printf(ends, "%s %u ", OUTCOME_NAMES[outcome], status);
	va_start(arguments, format);
	g_string_append_vprintf(ends, format, arguments);
	va_end(arguments);
	g_string_append_c(ends, '\n');
}

/* Every byte that was kept as evidence. */
static GByteArray *tail_bytes;

void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes)
{
	g_assert_nonnull(tail);
	g_byte_array_append(tail_bytes, bytes, len_bytes);
}

struct fixture {
	struct vm *vm;
	struct shim_log *log; /* on the heap: the sanitizer guards its line */
	int fd;
};

static struct fixture set_up(void)
{
	struct fixture f = {.vm = g_new0(struct vm, 1), .log = g_new0(struct shim_log, 1)};

	f.vm->has_shim = true;
	f.vm->record = record_new(0);
	g_assert_nonnull(f.vm->record);
	f.fd = memfd_create("shim-log-test", MFD_CLOEXEC);
	shim_log_init(f.log, f.fd);
	ends = g_string_new("");
	tail_bytes = g_byte_array_new();
	return f;
}

static void tear_down(struct fixture *f)
{
	munmap(f->vm->record, sizeof(*f->vm->record));
	pthread_mutex_destroy(&f->log->lock);
	close(f->fd);
	g_free(f->log);
	g_free(f->vm);
	g_string_free(ends, TRUE);
	g_byte_array_unref(tail_bytes);
}

static void expect_file(const struct fixture *f, const char *text, size_t len_bytes)
{
	g_autofree char *written = g_malloc(len_bytes + 1);

	g_assert_cmpint(pread(f->fd, written, len_bytes + 1, 0), ==, (ssize_t)len_bytes);
	g_assert_true(len_bytes == 0 || memcmp(written, text, len_bytes) == 0);
	g_assert_cmpuint(tail_bytes->len, ==, len_bytes);
	g_assert_true(len_bytes == 0 || memcmp(tail_bytes->data, text, len_bytes) == 0);
}

/* All that was learned, as text. */
static char *findings(struct fixture *f)
{
	return g_strdup_printf("ends:\n%sbanner %d, built %d, pages %" G_GUINT64_FORMAT ", begun: %.*s", ends->str,
			       record_phase_seen(f->vm->record, PHASE_SHIM_BANNER),
			       record_phase_seen(f->vm->record, PHASE_DOMAIN_BUILT), (guint64)f->log->shim_pages,
			       (int)f->log->line_bytes, f->log->line);
}

/* Cut at the given places, which are sorted. */
static char *read_log(const char *text, size_t len_bytes, const size_t *cuts, size_t n_cuts)
{
	struct fixture f = set_up();
	size_t at = 0;

	for (size_t i = 0; i <= n_cuts; i++) {
		size_t end = i < n_cuts ? cuts[i] : len_bytes;
		/* Of the exact size, so that nothing behind it is read. */
		g_autofree char *piece = g_memdup2(text + at, end - at);

		shim_log_write(f.log, f.vm, piece, end - at);
		at = end;
	}
	expect_file(&f, text, len_bytes);
	char *found = findings(&f);
	tear_down(&f);
	return found;
}

static const char BOOT[] = "(XEN) Xen version 4.17.5 (Debian 4.17.5-1)\r\n"
			   "(XEN) Scrubbing Free RAM in background\r\n"
			   "(XEN) shim used pages 0x1a2b reserving 0x10\n"
			   "(XEN) \n"
			   "(XEN) ****************************************\n"
			   "(XEN) Panic on CPU 0:\n"
			   "(XEN) \n"
			   "(XEN) Could not construct domain 1\n"
			   "(XEN) ****************************************\n"
			   "(XEN) begun and not en";
static const char BOOT_FINDINGS[] = "ends:\n"
				    "shim-crash 0 the shim crashed: (XEN) Could not construct domain 1\n"
				    "banner 1, built 1, pages 6715, begun: (XEN) begun and not en";

static void test_boot_and_panic(void)
{
	g_autofree char *found = read_log(BOOT, strlen(BOOT), NULL, 0);

	g_assert_cmpstr(found, ==, BOOT_FINDINGS);
}

static void test_split_anywhere(void)
{
	const size_t len_bytes = strlen(BOOT);

	for (size_t cut = 0; cut <= len_bytes; cut++) {
		g_autofree char *found = read_log(BOOT, len_bytes, &cut, 1);

		g_assert_cmpstr(found, ==, BOOT_FINDINGS);
	}
	/* Byte by byte. */
	size_t *cuts = g_new(size_t, len_bytes);
	for (size_t i = 0; i < len_bytes; i++)
		cuts[i] = i;
	g_autofree char *found = read_log(BOOT, len_bytes, cuts, len_bytes);
	g_assert_cmpstr(found, ==, BOOT_FINDINGS);
	g_free(cuts);
}

static void add_random_line(GString *text)
{
	static const char *const lines[] = {
		"(XEN) Xen version 4.17.5",
		"(XEN) Scrubbing Free RAM",
		"(XEN) shim used pages 0x10 reserving 0x20",
		"(XEN) shim used pages 0xzz reserving",
		"(XEN) Panic on CPU 3:",
		"(XEN) FATAL TRAP: vector = 14 (page fault)",
		"(XEN) reason",
		"(XEN) ",
		"",
		"(XEN) ****",
		"Panic",
		"Xen versio",
		"(XEN) %s%n%d",
		"(XEN) \xff\x01",
	};

	switch (g_test_rand_int_range(0, 12)) {
	case 0: { /* longer than the buffer, with something to find before or behind its end */
		int n = g_test_rand_int_range(200, 600);

		g_string_append(text, lines[g_test_rand_int_range(0, (int)G_N_ELEMENTS(lines))]);
		for (int i = 0; i < n; i++)
			g_string_append_c(text, 'x');
		g_string_append(text, lines[g_test_rand_int_range(0, (int)G_N_ELEMENTS(lines))]);
		break;
	}
	default:
		g_string_append(text, lines[g_test_rand_int_range(0, (int)G_N_ELEMENTS(lines))]);
		break;
	}
	g_string_append_c(text, '\n');
}

static int compare_sizes(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_any_log_cut_anyhow(void)
{
	unsigned int n_crashes = 0;

	for (unsigned int round = 0; round < 500; round++) {
		g_autoptr(GString) text = g_string_new(""), noisy = g_string_new("");
		int n_lines = g_test_rand_int_range(0, 12);
		size_t cuts[5];

		for (int i = 0; i < n_lines; i++)
			add_random_line(text);
		for (size_t i = 0; i < text->len; i++) {
			while (g_test_rand_int_range(0, 10) == 0)
				g_string_append_c(noisy, g_test_rand_int_range(0, 2) ? '\0' : '\r');
			g_string_append_c(noisy, text->str[i]);
		}
		g_autofree char *whole = read_log(text->str, text->len, NULL, 0);
		for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++)
			cuts[i] = (size_t)g_test_rand_int_range(0, (int)text->len + 1);
		qsort(cuts, G_N_ELEMENTS(cuts), sizeof(cuts[0]), compare_sizes);
		g_autofree char *in_pieces = read_log(text->str, text->len, cuts, G_N_ELEMENTS(cuts));
		g_autofree char *with_noise = read_log(noisy->str, noisy->len, NULL, 0);

		g_assert_cmpstr(whole, ==, in_pieces);
		g_assert_cmpstr(whole, ==, with_noise);
		n_crashes += strstr(whole, "shim-crash") != NULL;
	}
	g_assert_cmpuint(n_crashes, >, 10);
	g_assert_cmpuint(n_crashes, <, 490);
}

static void expect_ends(const char *text, const char *expected)
{
	struct fixture f = set_up();

	shim_log_write(f.log, f.vm, text, strlen(text));
	g_assert_cmpstr(ends->str, ==, expected);
	tear_down(&f);
}

static void test_panics(void)
{
	/* Two that Xen prints: a reason of its own, and a trap. */
	expect_ends("(XEN) Panic on CPU 0:\n(XEN) Out of memory\n",
		    "shim-crash 0 the shim crashed: (XEN) Out of memory\n");
	expect_ends("(XEN) Panic on CPU 12:\n(XEN) FATAL TRAP: vec 14, #PF[0000]\n",
		    "shim-crash 0 the shim crashed: (XEN) FATAL TRAP: vec 14, #PF[0000]\n");
	expect_ends("(XEN) FATAL TRAP: vector = 6 (invalid opcode)\n",
		    "shim-crash 0 the shim crashed: (XEN) FATAL TRAP: vector = 6 (invalid opcode)\n");
	/* The first line that says something is the reason, and those behind it are none. */
	expect_ends("(XEN) Panic on CPU 0:\n(XEN) \n(XEN) reason\n(XEN) ***\n(XEN) \n(XEN) Reboot in five seconds...\n",
		    "shim-crash 0 the shim crashed: (XEN) reason\n");
	/* No reason yet, or no line yet, or no panic. */
	expect_ends("(XEN) Panic on CPU 0:\n(XEN) \n(XEN) *****\n\n", "");
	expect_ends("(XEN) Panic on CPU 0:\n(XEN) Out of mem", "");
	expect_ends("(XEN) Out of memory\n(XEN) no panic, on no CPU\n", "");
	/* The text is the shim's, or its guest's: never a format. */
	expect_ends("(XEN) Panic on CPU 0:\n(XEN) %s%n%x\n", "shim-crash 0 the shim crashed: (XEN) %s%n%x\n");
}

static void test_overlong_line(void)
{
	struct fixture f = set_up();
	g_autofree char *filler = g_strnfill(100000, 'a');

	/* A line without end costs no memory, and what comes behind it is read as ever. */
	for (unsigned int i = 0; i < 20; i++) {
		shim_log_write(f.log, f.vm, filler, strlen(filler));
		g_assert_cmpuint(f.log->line_bytes, <, sizeof(f.log->line));
	}
	shim_log_write(f.log, f.vm, "\n(XEN) Panic on CPU 0:\n", 23);
	shim_log_write(f.log, f.vm, filler, strlen(filler));
	g_assert_cmpstr(ends->str, ==, "");
	shim_log_write(f.log, f.vm, "\n", 1);
	g_assert_true(g_str_has_prefix(ends->str, "shim-crash 0 the shim crashed: aaaa"));
	g_assert_cmpuint(ends->len, <, 400);
	tear_down(&f);
}

/* A guest that speaks like a shim is none: of PVH, all it writes is its own, and of PV, what the shim says is the guest's. */
static void test_what_a_guest_says(void)
{
	static const char same[] = "(XEN) Xen version 4.17.5\n[    0.000000] Xen version 4.17.\n(XEN) Scrubbing Free RAM\n"
				   "(XEN) shim used pages 0x1a2b reserving 0x10\n(XEN) Panic on CPU 0:\n(XEN) reason\n"
				   "(XEN) FATAL TRAP: vector = 6 (invalid opcode)\n";
	static const char quoted[] = "(d1) [    0.000000] Xen version 4.17.\n(d1) Scrubbing Free RAM\n"
				     "(d1) shim used pages 0x1a2b reserving 0x10\n(d1) Panic on CPU 0:\n(d1) reason\n"
				     "(d1v0) FATAL TRAP: vector = 6 (invalid opcode)\n";
	static const char nothing[] = "ends:\nbanner 0, built 0, pages 0, begun: ";
	struct fixture pvh = set_up();

	pvh.vm->has_shim = false;
	shim_log_write(pvh.log, pvh.vm, same, strlen(same));
	expect_file(&pvh, same, strlen(same));
	g_autofree char *pvh_found = findings(&pvh);
	g_assert_cmpstr(pvh_found, ==, nothing);
	tear_down(&pvh);

	g_autofree char *pv_found = read_log(quoted, strlen(quoted), NULL, 0);
	g_assert_cmpstr(pv_found, ==, nothing);
	/* The same words of a shim are something. */
	g_autofree char *shim_found = read_log(same, strlen(same), NULL, 0);
	g_assert_true(g_str_has_suffix(shim_found, "banner 1, built 1, pages 6715, begun: "));
}

/* No file, a file that is full: the lines are read all the same. */
static void test_without_a_file(void)
{
	for (unsigned int full = 0; full < 2; full++) {
		struct fixture f = set_up();
		FILE *file = full ? fopen("/dev/full", "w") : NULL;

		shim_log_init(f.log, file ? fileno(file) : -1);
		shim_log_write(f.log, f.vm, BOOT, strlen(BOOT));
		g_autofree char *found = findings(&f);
		g_assert_cmpstr(found, ==, BOOT_FINDINGS);
		if (file)
			fclose(file);
		tear_down(&f);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/shim_log/boot-and-panic", test_boot_and_panic);
	g_test_add_func("/shim_log/split-anywhere", test_split_anywhere);
	g_test_add_func("/shim_log/any-log-cut-anyhow", test_any_log_cut_anyhow);
	g_test_add_func("/shim_log/panics", test_panics);
	g_test_add_func("/shim_log/overlong-line", test_overlong_line);
	g_test_add_func("/shim_log/what-a-guest-says", test_what_a_guest_says);
	g_test_add_func("/shim_log/without-a-file", test_without_a_file);
	return g_test_run();
}
