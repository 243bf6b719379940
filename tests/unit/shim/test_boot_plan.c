// SPDX-License-Identifier: MIT
/*
 * boot_plan.c, multiboot.c, pvh.c. The plan is loaded into an imaginary guest, and what the shim would find there is
 * read by number from the specifications: nothing here includes multiboot.h or start_info.h.
 */
#include "images.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#include "shim/boot_plan.h"
#include "vmm/error.h"

#define MIB (UINT64_C(1) << 20)

/* A machine with its memory map, as src/vmm makes them. */
struct machine {
	struct memory_map_entry map[8];
	size_t n_map;
	uint64_t low_top;
};

static void machine_init(struct machine *machine, uint64_t memory_bytes)
{
	const uint64_t hole = UINT64_C(3) << 30;
	uint64_t top = MIN(memory_bytes, hole);
	const struct memory_map_entry map[] = {
		{0, 0xa0000, MEMORY_MAP_RAM},
		{0xa0000, 0x60000, MEMORY_MAP_RESERVED},
		{MIB, top - MIB, MEMORY_MAP_RAM},
		{UINT64_C(0xfc000000), 0x10000, MEMORY_MAP_ACPI},
		{UINT64_C(1) << 32, memory_bytes - top, MEMORY_MAP_RAM},
	};

	memcpy(machine->map, map, sizeof(map));
	machine->n_map = memory_bytes > hole ? 5 : 4;
	machine->low_top = top;
}

static struct boot_inputs inputs_of(const struct machine *machine, enum boot_entry entry, const GByteArray *shim)
{
	return (struct boot_inputs){
		.entry = entry,
		.shim = {.name = "SHIM", .bytes = shim->data, .len_bytes = shim->len},
		.shim_command_line = "pv-shim console=xen",
		.guest_command_line = "root=/dev/xvda1 quiet",
		.memory_map = machine->map,
		.n_memory_map = machine->n_map,
		.low_ram_top_gpa = machine->low_top,
		.rsdp_gpa = 0xfc000000,
	};
}

/* Bytes that are never looked at: address space costs nothing. */
static const uint8_t *big_bytes(void)
{
	static void *bytes;

	if (bytes == NULL)
		bytes = mmap(NULL, UINT64_C(6) << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	g_assert_true(bytes != MAP_FAILED);
	return bytes;
}

/* By single bytes of the first and last page, and by entries in between: slow and plain. */
static gboolean is_ram(const struct boot_inputs *inputs, uint64_t gpa, uint64_t end)
{
	while (gpa < end) {
		uint64_t next = gpa;

		for (size_t i = 0; i < inputs->n_memory_map; i++) {
			const struct memory_map_entry *entry = &inputs->memory_map[i];

			if (entry->type == MEMORY_MAP_RAM && gpa >= entry->gpa && gpa - entry->gpa < entry->len_bytes)
				next = entry->gpa + entry->len_bytes;
		}
		if (next == gpa)
			return FALSE;
		gpa = next;
	}
	return end <= inputs->low_ram_top_gpa;
}

static gboolean is_inside(const struct boot_segment *segment, const struct boot_image *image)
{
	return segment->bytes >= image->bytes && segment->len_bytes <= image->len_bytes &&
	       (size_t)(segment->bytes - image->bytes) <= image->len_bytes - segment->len_bytes;
}

static void touch(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		(void)((const volatile uint8_t *)bytes)[i];
}

static void check_segment(const struct boot_inputs *inputs, const struct boot_segment *segment)
{
	uint64_t end = segment->gpa + segment->mem_bytes;
	gboolean is_bios_data =
		inputs->entry == BOOT_ENTRY_MULTIBOOT && (segment->gpa == 0x40e || segment->gpa == 0x413);

	g_assert_nonnull(segment->what);
	g_assert_cmpuint(segment->mem_bytes, >, 0);
	g_assert_cmpuint(segment->len_bytes, <=, segment->mem_bytes);
	g_assert_true(is_ram(inputs, segment->gpa, end));
	if (is_bios_data) {
		g_assert_cmpuint(segment->mem_bytes, ==, 2);
		touch(segment->bytes, 2);
		return;
	}
	/* The scratch memory of both entries. */
	g_assert_cmpuint(segment->gpa, >=, 0x11000);
	g_assert_true(end <= 0x8f000 || segment->gpa >= 0xa0000);
	if (strcmp(segment->what, "shim") == 0) {
		g_assert_true(segment->len_bytes == 0 || is_inside(segment, &inputs->shim));
		touch(segment->bytes, segment->len_bytes);
		return;
	}
	g_assert_cmpuint(segment->gpa % 4096, ==, 0);
	g_assert_cmpuint(segment->len_bytes, ==, segment->mem_bytes);
	if (strcmp(segment->what, "kernel") == 0)
		g_assert_true(segment->bytes == inputs->kernel.bytes && segment->len_bytes == inputs->kernel.len_bytes);
	else if (strcmp(segment->what, "initrd") == 0)
		g_assert_true(segment->bytes == inputs->initrd.bytes && segment->len_bytes == inputs->initrd.len_bytes);
	else
		touch(segment->bytes, segment->len_bytes);
}

/* All that boot_plan.h promises of a plan. */
static void check_plan(const struct boot_inputs *inputs, const struct boot_plan *plan)
{
	gboolean entry_is_code = FALSE;
	uint64_t last = 0;

	for (size_t i = 0; i < plan->n_segments; i++) {
		const struct boot_segment *segment = &plan->segments[i];

		g_assert_cmpuint(segment->gpa, >=, last);
		last = segment->gpa + segment->mem_bytes;
		check_segment(inputs, segment);
		if (plan->eip >= segment->gpa && plan->eip - segment->gpa < segment->len_bytes)
			entry_is_code = strcmp(segment->what, "shim") == 0;
	}
	g_assert_true(entry_is_code);
	g_assert_cmphex(plan->eax, ==, inputs->entry == BOOT_ENTRY_MULTIBOOT ? 0x2badb002 : 0);
}

/* Guest memory: what the plan puts there, and zeros. */
static uint64_t peek(const struct boot_plan *plan, uint64_t gpa, size_t width)
{
	uint64_t value = 0;

	for (size_t i = 0; i < width; i++)
		for (size_t j = 0; j < plan->n_segments; j++) {
			const struct boot_segment *segment = &plan->segments[j];

			if (gpa + i >= segment->gpa && gpa + i - segment->gpa < segment->len_bytes)
				value |= (uint64_t)segment->bytes[gpa + i - segment->gpa] << (8 * i);
		}
	return value;
}

static char *peek_string(const struct boot_plan *plan, uint64_t gpa)
{
	GString *string = g_string_new(NULL);
	char c;

	while ((c = (char)peek(plan, gpa + string->len, 1)) != '\0')
		g_string_append_c(string, c);
	return g_string_free(string, FALSE);
}

static void assert_string(const struct boot_plan *plan, uint64_t gpa, const char *expected)
{
	g_autofree char *string = peek_string(plan, gpa);

	g_assert_cmpuint(gpa, !=, 0);
	g_assert_cmpstr(string, ==, expected);
}

static const struct boot_segment *segment_at(const struct boot_plan *plan, uint64_t gpa)
{
	for (size_t i = 0; i < plan->n_segments; i++)
		if (plan->segments[i].gpa == gpa)
			return &plan->segments[i];
	g_assert_not_reached();
}

static void assert_module(const struct boot_plan *plan, uint64_t start, uint64_t len, const struct boot_image *image,
			  const char *what)
{
	const struct boot_segment *segment = segment_at(plan, start);

	g_assert_cmpuint(len, ==, image->len_bytes);
	g_assert_true(segment->bytes == image->bytes);
	g_assert_cmpstr(segment->what, ==, what);
	g_assert_cmpuint(start, >=, IMAGE_SHIM_GPA + IMAGE_SHIM_MEM_BYTES);
}

struct fixture {
	GByteArray *shim;
	struct machine machine;
	struct boot_inputs inputs;
};

static void fixture_init(struct fixture *fixture, enum boot_entry entry, uint64_t memory_bytes, size_t kernel_bytes,
			 size_t initrd_bytes)
{
	fixture->shim = image_shim();
	machine_init(&fixture->machine, memory_bytes);
	fixture->inputs = inputs_of(&fixture->machine, entry, fixture->shim);
	fixture->inputs.kernel = (struct boot_image){"KERNEL", big_bytes(), kernel_bytes};
	if (initrd_bytes != 0)
		fixture->inputs.initrd = (struct boot_image){"INITRD", big_bytes() + kernel_bytes, initrd_bytes};
}

static void fixture_clear(struct fixture *fixture)
{
	g_byte_array_unref(fixture->shim);
}

static struct boot_plan *plan_of(const struct boot_inputs *inputs)
{
	g_autoptr(GError) error = NULL;
	struct boot_plan *plan = boot_plan_new(inputs, &error);

	g_assert_no_error(error);
	g_assert_nonnull(plan);
	check_plan(inputs, plan);
	return plan;
}

static void assert_refused(const struct boot_inputs *inputs, int code, const char *word)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(boot_plan_new(inputs, &error));
	g_assert_error(error, DOM1_ERROR, code);
	g_assert_null(strchr(error->message, '\n'));
	if (strstr(error->message, word) == NULL)
		g_error("\"%s\" lacks \"%s\"", error->message, word);
}

static void test_multiboot_structures(void)
{
	struct fixture f;
	struct boot_plan *plan;
	uint64_t info, mods, map;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 512 * MIB, 5000000, 7 * MIB);
	plan = plan_of(&f.inputs);
	g_assert_cmphex(plan->eip, ==, IMAGE_SHIM_GPA);
	info = plan->ebx;
	g_assert_cmphex(peek(plan, info, 4), ==, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	g_assert_cmpuint(peek(plan, info + 4, 4), ==, 639);
	g_assert_cmpuint(peek(plan, info + 8, 4), ==, 511 * 1024);
	/* Xen strips the first word, and only for a loader without "GRUB " in its name. */
	assert_string(plan, peek(plan, info + 16, 4), "dom1 pv-shim console=xen");
	assert_string(plan, peek(plan, info + 64, 4), "dom1");

	g_assert_cmpuint(peek(plan, info + 20, 4), ==, 2);
	mods = peek(plan, info + 24, 4);
	assert_module(plan, peek(plan, mods, 4), peek(plan, mods + 4, 4) - peek(plan, mods, 4), &f.inputs.kernel,
		      "kernel");
	assert_string(plan, peek(plan, mods + 8, 4), "root=/dev/xvda1 quiet");
	g_assert_cmpuint(peek(plan, mods + 12, 4), ==, 0);
	assert_module(plan, peek(plan, mods + 16, 4), peek(plan, mods + 20, 4) - peek(plan, mods + 16, 4),
		      &f.inputs.initrd, "initrd");
	assert_string(plan, peek(plan, mods + 24, 4), "");

	g_assert_cmpuint(peek(plan, info + 44, 4), ==, 24 * f.machine.n_map);
	map = peek(plan, info + 48, 4);
	for (size_t i = 0; i < f.machine.n_map; i++, map += 24) {
		g_assert_cmpuint(peek(plan, map, 4), ==, 20);
		g_assert_cmphex(peek(plan, map + 4, 8), ==, f.machine.map[i].gpa);
		g_assert_cmphex(peek(plan, map + 12, 8), ==, f.machine.map[i].len_bytes);
		g_assert_cmpuint(peek(plan, map + 20, 4), ==, f.machine.map[i].type);
	}
	g_assert_cmphex(peek(plan, 0x40e, 2), ==, 0x9fc0);
	g_assert_cmpuint(peek(plan, 0x413, 2), ==, 639);
	boot_plan_free(plan);
	fixture_clear(&f);
}

static void test_pvh_structures(void)
{
	struct fixture f;
	struct boot_plan *plan;
	uint64_t info, mods, map;

	fixture_init(&f, BOOT_ENTRY_PVH, 5 * 1024 * MIB, 5000000, 7 * MIB);
	plan = plan_of(&f.inputs);
	g_assert_cmphex(plan->eip, ==, IMAGE_SHIM_PVH_ENTRY);
	info = plan->ebx;
	g_assert_cmphex(peek(plan, info, 4), ==, 0x336ec578);
	g_assert_cmpuint(peek(plan, info + 4, 4), ==, 1);
	g_assert_cmpuint(peek(plan, info + 8, 4), ==, 0);
	g_assert_cmpuint(peek(plan, info + 12, 4), ==, 2);
	/* Nothing is stripped here. */
	assert_string(plan, peek(plan, info + 24, 8), "pv-shim console=xen");
	g_assert_cmphex(peek(plan, info + 32, 8), ==, 0xfc000000);

	mods = peek(plan, info + 16, 8);
	assert_module(plan, peek(plan, mods, 8), peek(plan, mods + 8, 8), &f.inputs.kernel, "kernel");
	assert_string(plan, peek(plan, mods + 16, 8), "root=/dev/xvda1 quiet");
	assert_module(plan, peek(plan, mods + 32, 8), peek(plan, mods + 40, 8), &f.inputs.initrd, "initrd");

	map = peek(plan, info + 40, 8);
	g_assert_cmpuint(peek(plan, info + 48, 4), ==, f.machine.n_map);
	for (size_t i = 0; i < f.machine.n_map; i++, map += 24) {
		g_assert_cmphex(peek(plan, map, 8), ==, f.machine.map[i].gpa);
		g_assert_cmphex(peek(plan, map + 8, 8), ==, f.machine.map[i].len_bytes);
		g_assert_cmpuint(peek(plan, map + 16, 8), ==, f.machine.map[i].type);
	}
	g_assert_cmpuint(peek(plan, 0x40e, 2), ==, 0);
	boot_plan_free(plan);
	fixture_clear(&f);
}

/* A kernel that starts by PVH itself: its initrd is the first module, or there is none. */
/* A kernel without a PVH entry starts by its Multiboot header, with the initrd as its only module. */
static void test_multiboot_without_shim(void)
{
	static const uint8_t note[] = {4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0, 'X', 'e', 'n', 0};
	static const char cpio[5000] = "070701";
	g_autoptr(GByteArray) image = image_shim();
	uint8_t *at = memmem(image->data, image->len, note, sizeof(note));
	struct fixture f;
	struct boot_plan *plan;

	fixture_init(&f, BOOT_ENTRY_PVH, 512 * MIB, 1, 5000);
	f.inputs.shim = (struct boot_image){"KERNEL", image->data, image->len};
	f.inputs.kernel = (struct boot_image){.name = NULL};
	f.inputs.initrd = (struct boot_image){"INITRD", (const uint8_t *)cpio, sizeof(cpio)};
	f.inputs.alone = true;
	/* With both, the entry is PVH's. */
	g_assert_cmpint(boot_entry_of(&f.inputs.shim), ==, BOOT_ENTRY_PVH);
	g_assert_nonnull(at);
	at[12] = 'Y';
	f.inputs.entry = boot_entry_of(&f.inputs.shim);
	g_assert_cmpint(f.inputs.entry, ==, BOOT_ENTRY_MULTIBOOT);
	plan = plan_of(&f.inputs);
	g_assert_cmphex(plan->eip, ==, IMAGE_SHIM_GPA);
	g_assert_cmphex(plan->eax, ==, 0x2badb002);
	g_assert_cmpuint(peek(plan, plan->ebx + 20, 4), ==, 1);
	boot_plan_free(plan);
	fixture_clear(&f);
}

static void test_pvh_without_shim(void)
{
	g_autoptr(GByteArray) vmlinux = image_vmlinux(EM_X86_64, 0, 1);
	static const char cpio[5000] = "070701";
	struct fixture f;
	struct boot_plan *plan;

	fixture_init(&f, BOOT_ENTRY_PVH, 512 * MIB, 1, 5000);
	f.inputs.shim = (struct boot_image){"VMLINUX", vmlinux->data, vmlinux->len};
	f.inputs.kernel = (struct boot_image){.name = NULL};
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "INITRD");
	f.inputs.initrd = (struct boot_image){"INITRD", (const uint8_t *)cpio, sizeof(cpio)};
	plan = plan_of(&f.inputs);
	g_assert_cmphex(plan->eip, ==, IMAGE_VMLINUX_PVH_ENTRY);
	g_assert_cmpuint(peek(plan, plan->ebx + 12, 4), ==, 1);
	boot_plan_free(plan);

	f.inputs.initrd = (struct boot_image){.name = NULL};
	plan = plan_of(&f.inputs);
	g_assert_cmpuint(peek(plan, plan->ebx + 12, 4), ==, 0);
	g_assert_cmpuint(peek(plan, plan->ebx + 16, 8), ==, 0);
	boot_plan_free(plan);

	g_assert_cmpint(boot_entry_of(&f.inputs.shim), ==, BOOT_ENTRY_PVH);
	f.inputs.entry = BOOT_ENTRY_MULTIBOOT;
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "no kernel");
	f.inputs.kernel = (struct boot_image){"KERNEL", big_bytes(), 1};
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "--shim-entry pvh");
	fixture_clear(&f);
}

/* Plans hold for any size; what does not fit says what would, and that is true. */
static void test_sizes(gconstpointer data)
{
	static const uint64_t memories_mib[] = {2,  9,  10, 11,  12,  13,  14,   15,   16,  17,
						32, 48, 64, 128, 255, 512, 1024, 3072, 8192};
	static const size_t sizes[] = {
		1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 53 << 20, 300 << 20, (size_t)2 << 30, (size_t)5 << 30};
	enum boot_entry entry = GPOINTER_TO_INT(data) != 0 ? BOOT_ENTRY_PVH : BOOT_ENTRY_MULTIBOOT;
	int n_fit = 0, n_more = 0, n_never = 0;

	for (size_t m = 0; m < G_N_ELEMENTS(memories_mib); m++)
		for (size_t k = 0; k < G_N_ELEMENTS(sizes) * (G_N_ELEMENTS(sizes) + 1); k++) {
			size_t initrd = k / G_N_ELEMENTS(sizes);
			g_autoptr(GError) error = NULL;
			struct boot_plan *plan;
			struct fixture f;
			const char *more;

			fixture_init(&f, entry, memories_mib[m] * MIB, sizes[k % G_N_ELEMENTS(sizes)],
				     initrd != 0 ? sizes[initrd - 1] : 0);
			f.inputs.initrd.bytes = initrd != 0 ? big_bytes() : NULL;
			plan = boot_plan_new(&f.inputs, &error);
			if (plan != NULL) {
				check_plan(&f.inputs, plan);
				n_fit++;
			} else {
				g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
				more = strstr(error->message, "at least --memory ");
				if (more != NULL) {
					uint64_t enough_mib =
						g_ascii_strtoull(more + strlen("at least --memory "), NULL, 10);

					g_assert_cmpuint(enough_mib, >, memories_mib[m]);
					machine_init(&f.machine, enough_mib * MIB);
					f.inputs.low_ram_top_gpa = f.machine.low_top;
					f.inputs.n_memory_map = f.machine.n_map;
					plan = plan_of(&f.inputs);
					n_more++;
				} else {
					g_assert_nonnull(strstr(error->message, "do not fit below 3 GiB"));
					n_never++;
				}
			}
			boot_plan_free(plan);
			fixture_clear(&f);
		}
	g_test_message("%d fit, %d need more memory, %d never fit", n_fit, n_more, n_never);
	g_assert_cmpint(MIN(n_fit, MIN(n_more, n_never)), >, 0);
}

/* Where Xen itself would move them to, so that it need not: the last one ends with low RAM, none leaves a gap. */
static void test_modules_at_the_top(void)
{
	static const size_t sizes[] = {1, 4095, 4096, 5000000, 53 << 20};

	for (size_t i = 0; i < G_N_ELEMENTS(sizes) * G_N_ELEMENTS(sizes) * 2; i++) {
		size_t kernel_bytes = sizes[i / 2 % G_N_ELEMENTS(sizes)];
		size_t initrd_bytes = sizes[i / 2 / G_N_ELEMENTS(sizes)];
		struct boot_plan *plan;
		struct fixture f;
		uint64_t top;

		fixture_init(&f, i & 1, 512 * MIB, kernel_bytes, initrd_bytes);
		plan = plan_of(&f.inputs);
		g_assert_cmpstr(plan->segments[plan->n_segments - 1].what, ==, "initrd");
		g_assert_cmpstr(plan->segments[plan->n_segments - 2].what, ==, "kernel");
		top = f.inputs.low_ram_top_gpa - (initrd_bytes + 4095) / 4096 * 4096;
		g_assert_cmphex(plan->segments[plan->n_segments - 1].gpa, ==, top);
		top -= (kernel_bytes + 4095) / 4096 * 4096;
		g_assert_cmphex(plan->segments[plan->n_segments - 2].gpa, ==, top);
		boot_plan_free(plan);
		fixture_clear(&f);
	}
}

/* Memory maps with holes: never placed over one. */
static void test_holes(void)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(7);
	int n_fit = 0;

	for (int i = 0; i < 5000; i++) {
		struct memory_map_entry map[32] = {{0, 0xa0000, MEMORY_MAP_RAM}, {MIB, 10 * MIB, MEMORY_MAP_RAM}};
		g_autoptr(GError) error = NULL;
		uint64_t at = 11 * MIB;
		struct boot_plan *plan;
		struct fixture f;
		size_t n = 2;

		fixture_init(&f, i & 1, 512 * MIB, (size_t)g_rand_int_range(random, 1, 16 << 20),
			     (size_t)g_rand_int_range(random, 0, 16 << 20));
		/* Adjacent entries of RAM, too. */
		for (; n < (size_t)g_rand_int_range(random, 3, 32); n++) {
			map[n].gpa =
				at + 4096 * (uint64_t)(g_rand_boolean(random) ? g_rand_int_range(random, 0, 2000) : 0);
			map[n].len_bytes = 4096 * (uint64_t)g_rand_int_range(random, 1, 6000);
			map[n].type = g_rand_int_range(random, 0, 3) != 0 ? MEMORY_MAP_RAM : MEMORY_MAP_RESERVED;
			at = map[n].gpa + map[n].len_bytes;
		}
		f.inputs.memory_map = map;
		f.inputs.n_memory_map = n;
		f.inputs.low_ram_top_gpa = at - (g_rand_boolean(random) ? 4096 : 0);
		plan = boot_plan_new(&f.inputs, &error);
		if (plan != NULL) {
			check_plan(&f.inputs, plan);
			n_fit++;
		} else {
			g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		}
		boot_plan_free(plan);
		fixture_clear(&f);
	}
	g_assert_cmpint(n_fit, >, 1000);
	g_assert_cmpint(n_fit, <, 5000);
}

/* No room for the tables below 640 KiB: then above the shim. */
static void test_tables_above(void)
{
	struct fixture f;
	struct boot_plan *plan;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 0);
	f.machine.map[0].len_bytes = 0x11000;
	plan = plan_of(&f.inputs);
	g_assert_cmphex(plan->ebx, >=, IMAGE_SHIM_GPA + IMAGE_SHIM_MEM_BYTES);
	g_assert_cmpuint(peek(plan, plan->ebx + 4, 4), ==, 0x11000 / 1024);
	boot_plan_free(plan);
	fixture_clear(&f);
}

static void test_command_lines(void)
{
	g_autofree char *longest = g_strnfill(1023, 'x');
	g_autofree char *too_long = g_strnfill(1024, 'x');
	g_autofree char *stripped = g_strconcat("dom1 ", longest, NULL);
	struct boot_plan *plan;
	struct fixture f;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 0);
	f.inputs.shim_command_line = longest;
	f.inputs.guest_command_line = longest;
	plan = plan_of(&f.inputs);
	assert_string(plan, peek(plan, plan->ebx + 16, 4), stripped);
	assert_string(plan, peek(plan, peek(plan, plan->ebx + 24, 4) + 8, 4), longest);
	boot_plan_free(plan);

	f.inputs.guest_command_line = too_long;
	assert_refused(&f.inputs, DOM1_STATUS_USAGE, "--append");
	f.inputs.guest_command_line = NULL;
	f.inputs.shim_command_line = NULL;
	plan = plan_of(&f.inputs);
	assert_string(plan, peek(plan, plan->ebx + 16, 4), "dom1 ");
	assert_string(plan, peek(plan, peek(plan, plan->ebx + 24, 4) + 8, 4), "");
	boot_plan_free(plan);
	f.inputs.shim_command_line = too_long;
	assert_refused(&f.inputs, DOM1_STATUS_USAGE, "--shim-append");
	fixture_clear(&f);
}

static void test_bad_shims(void)
{
	struct fixture f;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 0);
	image_put32(f.shim, 0x80 + 12, 7); /* wants a video mode; the checksum is wrong, too */
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "no Multiboot header");
	image_put32(f.shim, 0x80 + 16, 0U - 0x1badb002 - 7);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "flags 0x7");
	fixture_clear(&f);

	fixture_init(&f, BOOT_ENTRY_PVH, 64 * MIB, 4096, 0);
	image_put32(f.shim, 52 + 12, 0x8000); /* p_paddr */
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "0x8000");
	image_put32(f.shim, 52 + 12, 0xff900000);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "above 4 GiB");
	image_put32(f.shim, 52 + 12, 0x400000);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "entry");
	image_put16(f.shim, 18, EM_AARCH64);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "arm64");
	f.shim->data[0] = 0;
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "SHIM");
	fixture_clear(&f);

	fixture_init(&f, BOOT_ENTRY_PVH, 64 * MIB, 4096, 0);
	image_put32(f.shim, 84, PT_NULL);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "PHYS32_ENTRY");
	fixture_clear(&f);
}

/* As XTF's hvm64 and chain loaders are. */
static void test_elf32_of_x86_64(void)
{
	struct fixture f;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 0);
	image_put16(f.shim, 18, EM_X86_64);
	boot_plan_free(plan_of(&f.inputs));
	fixture_clear(&f);
}

static void test_bad_memory_maps(void)
{
	struct fixture f;

	fixture_init(&f, BOOT_ENTRY_PVH, 64 * MIB, 4096, 0);
	f.machine.map[0].type = MEMORY_MAP_RESERVED;
	assert_refused(&f.inputs, DOM1_STATUS_DEFECT, "no RAM at 0");
	f.machine.map[0].type = MEMORY_MAP_RAM;
	f.machine.map[2].gpa = 0x20000;
	assert_refused(&f.inputs, DOM1_STATUS_DEFECT, "not in order");
	f.inputs.n_memory_map = 0;
	assert_refused(&f.inputs, DOM1_STATUS_DEFECT, "no RAM at 0");
	fixture_clear(&f);
}

static gboolean check_shim(const uint8_t *bytes, size_t len, gconstpointer user)
{
	const struct fixture *f = user;
	struct boot_inputs inputs = f->inputs;
	g_autoptr(GError) error = NULL;
	struct boot_plan *plan;

	inputs.shim.bytes = bytes;
	inputs.shim.len_bytes = len;
	plan = boot_plan_new(&inputs, &error);
	if (plan == NULL) {
		/* A larger image may be a matter of memory. */
		g_assert_true(g_error_matches(error, DOM1_ERROR, DOM1_STATUS_FILE) ||
			      g_error_matches(error, DOM1_ERROR, DOM1_STATUS_USAGE));
		g_assert_null(strchr(error->message, '\n'));
		return FALSE;
	}
	g_assert_no_error(error);
	check_plan(&inputs, plan);
	boot_plan_free(plan);
	return TRUE;
}

static void test_damage(gconstpointer data)
{
	struct fixture f;

	fixture_init(&f, GPOINTER_TO_INT(data) != 0 ? BOOT_ENTRY_PVH : BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 10000);
	image_every_prefix(f.shim, check_shim, &f);
	image_mutations(f.shim, check_shim, &f);
	fixture_clear(&f);
}

/* Many segments must not make placement slow: they are refused. */
static void test_many_segments(void)
{
	enum { N = 65 };
	struct fixture f;

	fixture_init(&f, BOOT_ENTRY_MULTIBOOT, 64 * MIB, 4096, 0);
	g_byte_array_set_size(f.shim, 0x110 + N * 32);
	f.inputs.shim.bytes = f.shim->data;
	f.inputs.shim.len_bytes = f.shim->len;
	for (uint32_t i = 0; i < N; i++) {
		memcpy(f.shim->data + 0x110 + i * 32, f.shim->data + 52, 32);
		image_put32(f.shim, 0x110 + i * 32 + 12, IMAGE_SHIM_GPA + i * 0x1000);
		image_put32(f.shim, 0x110 + i * 32 + 20, 0x1000);
	}
	image_put32(f.shim, 28, 0x110);
	image_put16(f.shim, 44, N - 1);
	boot_plan_free(plan_of(&f.inputs));
	image_put16(f.shim, 44, N);
	assert_refused(&f.inputs, DOM1_STATUS_FILE, "too many segments");
	fixture_clear(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/shim/boot-plan/multiboot-structures", test_multiboot_structures);
	g_test_add_func("/shim/boot-plan/multiboot-without-shim", test_multiboot_without_shim);
	g_test_add_func("/shim/boot-plan/pvh-structures", test_pvh_structures);
	g_test_add_func("/shim/boot-plan/pvh-without-shim", test_pvh_without_shim);
	g_test_add_data_func("/shim/boot-plan/sizes/multiboot", GINT_TO_POINTER(0), test_sizes);
	g_test_add_data_func("/shim/boot-plan/sizes/pvh", GINT_TO_POINTER(1), test_sizes);
	g_test_add_func("/shim/boot-plan/modules-at-the-top", test_modules_at_the_top);
	g_test_add_func("/shim/boot-plan/holes", test_holes);
	g_test_add_func("/shim/boot-plan/tables-above-the-shim", test_tables_above);
	g_test_add_func("/shim/boot-plan/command-lines", test_command_lines);
	g_test_add_func("/shim/boot-plan/bad-shims", test_bad_shims);
	g_test_add_func("/shim/boot-plan/elf32-of-x86-64", test_elf32_of_x86_64);
	g_test_add_func("/shim/boot-plan/bad-memory-maps", test_bad_memory_maps);
	g_test_add_func("/shim/boot-plan/many-segments", test_many_segments);
	g_test_add_data_func("/shim/boot-plan/every-prefix-and-mutation/multiboot", GINT_TO_POINTER(0), test_damage);
	g_test_add_data_func("/shim/boot-plan/every-prefix-and-mutation/pvh", GINT_TO_POINTER(1), test_damage);
	return g_test_run();
}
