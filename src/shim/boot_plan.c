// SPDX-License-Identifier: MIT
/*
 * Placement. The shim lies where it is linked. Modules are put at the top of low RAM, in order and without a gap, the
 * small tables below 640 KiB where no module competes with them, or above the shim if that is not possible.
 *
 *   0         0x11000        0x8f000      1 MiB                                  low_ram_top
 *   | scratch |    tables    | trampoline |     | shim | ...         | kernel | initrd |
 *
 * The top is where Xen wants its modules (__start_xen): those that lie lower it moves there first, byte by byte, which
 * for a kernel of 60 MiB takes as long as the rest of its start. Then it moves itself below them.
 *
 * Scratch and trampoline are Xen's: page 0 is its first stack, PVH's trampoline lies at 0x1000 to 0x11000, Multiboot's
 * in the 64 KiB below the EBDA. Only the two words of the BIOS data area are ours there.
 *
 * When it does not fit, the same placement is made again in a generous imaginary memory: where it ends there is how
 * much would have been enough.
 */
#include "shim/boot_plan.h"

#include <elf.h>
#include <string.h>

#include "shim/boot_tables.h"
#include "shim/elf.h"
#include "shim/initrd_check.h"
#include "shim/multiboot.h"
#include "shim/pvh.h"
#include "vmm/error.h"

#define MIB  (UINT64_C(1) << 20)
#define PAGE UINT64_C(4096)

/* Enough for the tables to begin with; page numbers as in the picture above. */
static const struct {
	uint64_t gpa, end;
} reserved[] = {
	{0, 0x11000},
	{0x8f000, MIB},
};

enum {
	MAX_SHIM_SEGMENTS = 64,  /* Xen has one; a bound for the time that placement takes */
	SHIM_AND_GUEST_MIB = 48, /* the least RAM in which the shim starts a tiny guest (measured, reference 1.9) */
	ENOUGH_ROUND_MIB = 16,
};

/* The end of the RAM that the imaginary machine has below 4 GiB. */
#define IMAGINARY_TOP (UINT64_C(3) << 30)

struct builder {
	const struct boot_inputs *inputs;
	const struct memory_map_entry *map;
	size_t n_map;
	uint64_t ram_top;
	uint64_t shim_end;
	GArray *segments; /* struct boot_segment, in the order of placement: the shim's come first */
	guint n_shim_segments;
	struct boot_modules modules;
	uint32_t tables_gpa;
	uint32_t tables_bytes;
};

enum fit { FITS, NO_ROOM, FAILED /* error is set */ };

/* The segment is for the caller to complete, until the next one is added. */
static struct boot_segment *add_segment(struct builder *builder, const char *what, uint64_t gpa, const uint8_t *bytes,
					size_t len_bytes, uint64_t mem_bytes)
{
	struct boot_segment segment = {
		.gpa = gpa,
		.bytes = bytes,
		.len_bytes = len_bytes,
		.mem_bytes = mem_bytes,
		.what = what,
	};

	g_array_append_val(builder->segments, segment);
	return &g_array_index(builder->segments, struct boot_segment, builder->segments->len - 1);
}

static void set_file(struct boot_segment *segment, const struct boot_image *image, uint64_t offset_bytes)
{
	segment->has_file = image->has_file;
	segment->file_fd = image->file_fd;
	segment->file_offset_bytes = offset_bytes;
}

/* The first segment or reserved range that [gpa, end) meets. False: it meets none. */
static gboolean find_conflict(const struct builder *builder, uint64_t gpa, uint64_t end, uint64_t *conflict_gpa,
			      uint64_t *conflict_end)
{
	for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++)
		if (gpa < reserved[i].end && end > reserved[i].gpa) {
			*conflict_gpa = reserved[i].gpa;
			*conflict_end = reserved[i].end;
			return TRUE;
		}
	for (guint i = 0; i < builder->segments->len; i++) {
		const struct boot_segment *segment = &g_array_index(builder->segments, struct boot_segment, i);

		if (gpa < segment->gpa + segment->mem_bytes && end > segment->gpa) {
			*conflict_gpa = segment->gpa;
			*conflict_end = segment->gpa + segment->mem_bytes;
			return TRUE;
		}
	}
	return FALSE;
}

/* The end of the RAM that begins at gpa or goes through it, over adjacent entries; gpa itself when it is not RAM. */
static uint64_t ram_end(const struct builder *builder, uint64_t gpa)
{
	uint64_t end = gpa;

	for (size_t i = 0; i < builder->n_map; i++) {
		const struct memory_map_entry *entry = &builder->map[i];

		if (entry->type == MEMORY_MAP_RAM && entry->gpa <= end && entry->gpa + entry->len_bytes > end)
			end = entry->gpa + entry->len_bytes;
	}
	return MAX(gpa, MIN(end, builder->ram_top));
}

/*
 * Both look for len bytes in RAM between floor and ceiling, by pages. len is at most 4 GiB and all of ram_top is below
 * that: no sum here wraps.
 */
static gboolean find_lowest_gap(const struct builder *builder, uint64_t floor, uint64_t ceiling, uint64_t len,
				uint64_t *gpa)
{
	for (size_t i = 0; i < builder->n_map; i++) {
		const struct memory_map_entry *entry = &builder->map[i];
		uint64_t at, end, conflict_gpa, conflict_end;

		if (entry->type != MEMORY_MAP_RAM || entry->gpa >= ceiling)
			continue;
		at = MAX(entry->gpa, floor);
		end = MIN(ram_end(builder, at), ceiling);
		at = (at + PAGE - 1) & ~(PAGE - 1);
		while (at < end && len <= end - at) {
			if (!find_conflict(builder, at, at + len, &conflict_gpa, &conflict_end)) {
				*gpa = at;
				return TRUE;
			}
			at = (conflict_end + PAGE - 1) & ~(PAGE - 1);
		}
	}
	return FALSE;
}

static gboolean find_highest_gap(const struct builder *builder, uint64_t floor, uint64_t ceiling, uint64_t len,
				 uint64_t *gpa)
{
	for (size_t i = builder->n_map; i-- > 0;) {
		const struct memory_map_entry *entry = &builder->map[i];
		uint64_t start, end, conflict_gpa, conflict_end;

		if (entry->type != MEMORY_MAP_RAM || entry->gpa >= ceiling)
			continue;
		start = MAX(entry->gpa, floor);
		end = MIN(ram_end(builder, entry->gpa), ceiling);
		while (end > start && len <= end - start) {
			uint64_t at = (end - len) & ~(PAGE - 1);

			if (at < start)
				break;
			if (!find_conflict(builder, at, at + len, &conflict_gpa, &conflict_end)) {
				*gpa = at;
				return TRUE;
			}
			end = conflict_gpa;
		}
	}
	return FALSE;
}

static gboolean shim_damaged(const struct builder *builder, GError **error, const char *reason, uint64_t gpa)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: %s (0x%" G_GINT64_MODIFIER "x): not a usable shim; give /usr/lib/xen-VERSION/boot/xen-shim",
		    builder->inputs->shim.name, reason, gpa);
	return FALSE;
}

static enum fit place_shim(struct builder *builder, const struct elf_image *elf, GError **error)
{
	enum fit fit = FITS;

	for (uint32_t i = 0; i < elf->n_segments; i++) {
		struct elf_segment segment = elf_segment(elf, i);
		uint64_t end = segment.gpa + segment.mem_bytes, conflict_gpa, conflict_end;

		if (segment.type != PT_LOAD || segment.mem_bytes == 0)
			continue;
		if (builder->segments->len == MAX_SHIM_SEGMENTS) {
			shim_damaged(builder, error, "it has too many segments; entry", elf->entry);
			return FAILED;
		}
		if (end > UINT64_C(1) << 32) {
			shim_damaged(builder, error, "it is linked above 4 GiB", segment.gpa);
			return FAILED;
		}
		if (find_conflict(builder, segment.gpa, end, &conflict_gpa, &conflict_end)) {
			shim_damaged(builder, error, "it is linked over itself, or over memory that the boot needs",
				     segment.gpa);
			return FAILED;
		}
		if (ram_end(builder, segment.gpa) < end)
			fit = NO_ROOM;
		set_file(add_segment(builder, "shim", segment.gpa, elf->bytes + segment.offset, (size_t)segment.file_bytes,
				     segment.mem_bytes),
			 &builder->inputs->shim, segment.offset);
		builder->shim_end = MAX(builder->shim_end, end);
		builder->n_shim_segments = builder->segments->len;
	}
	if (builder->shim_end == 0) {
		shim_damaged(builder, error, "it has nothing to load; entry", elf->entry);
		return FAILED;
	}
	return fit;
}

/* An entry outside the shim's own bytes would run zeros, or a module. */
static gboolean check_entry(const struct builder *builder, uint32_t entry, GError **error)
{
	for (guint i = 0; i < builder->n_shim_segments; i++) {
		const struct boot_segment *segment = &g_array_index(builder->segments, struct boot_segment, i);

		if (entry >= segment->gpa && entry - segment->gpa < segment->len_bytes)
			return TRUE;
	}
	return shim_damaged(builder, error, "its entry lies outside what it loads", entry);
}

static enum fit place_module(struct builder *builder, const struct boot_image *image, const char *what,
			     const char *string, struct boot_module *module)
{
	struct boot_segment *segment;
	uint64_t gpa;

	if (image->len_bytes > UINT32_MAX ||
	    !find_highest_gap(builder, builder->shim_end, UINT32_MAX, image->len_bytes, &gpa))
		return NO_ROOM;
	segment = add_segment(builder, what, gpa, image->bytes, image->len_bytes, image->len_bytes);
	set_file(segment, image, 0);
	segment->may_come_late = true;
	*module = (struct boot_module){
		.gpa = (uint32_t)gpa,
		.len_bytes = (uint32_t)image->len_bytes,
		.string = string != NULL ? string : "",
	};
	return FITS;
}

/* The last one goes to the top: that is Xen's order too. */
static enum fit place_modules(struct builder *builder)
{
	const struct boot_inputs *inputs = builder->inputs;
	struct boot_modules *modules = &builder->modules;
	bool has_kernel = inputs->kernel.len_bytes > 0, has_initrd = inputs->initrd.len_bytes > 0;
	enum fit fit = FITS;

	if (has_initrd)
		fit = place_module(builder, &inputs->initrd, "initrd", NULL, &modules->list[has_kernel ? 1 : 0]);
	if (fit == FITS && has_kernel)
		fit = place_module(builder, &inputs->kernel, "kernel", inputs->guest_command_line, &modules->list[0]);
	modules->n = (has_kernel ? 1u : 0u) + (has_initrd ? 1u : 0u);
	return fit;
}

static uint32_t write_tables(struct builder *builder, struct table_writer *writer)
{
	return builder->inputs->entry == BOOT_ENTRY_PVH
		       ? pvh_write_tables(writer, builder->inputs, &builder->modules)
		       : multiboot_write_tables(writer, builder->inputs, &builder->modules);
}

static enum fit place_tables(struct builder *builder)
{
	struct table_writer counter = {.bytes = NULL};
	const char *what = builder->inputs->entry == BOOT_ENTRY_PVH ? "PVH start info" : "multiboot information";
	uint64_t gpa;

	write_tables(builder, &counter);
	if (!find_lowest_gap(builder, 0, MIB, counter.used_bytes, &gpa) &&
	    !find_lowest_gap(builder, builder->shim_end, UINT32_MAX, counter.used_bytes, &gpa))
		return NO_ROOM;
	builder->tables_gpa = (uint32_t)gpa;
	builder->tables_bytes = counter.used_bytes;
	add_segment(builder, what, gpa, NULL, counter.used_bytes, counter.used_bytes);
	return FITS;
}

/* Last: these lie in a range that is reserved for everything else. */
static enum fit place_bios_data(struct builder *builder)
{
	static const uint8_t ebda[] = {BDA_EBDA_SEGMENT & 0xff, BDA_EBDA_SEGMENT >> 8};
	static const uint8_t base[] = {BDA_BASE_MEMORY_KIB & 0xff, BDA_BASE_MEMORY_KIB >> 8};

	if (builder->inputs->entry != BOOT_ENTRY_MULTIBOOT)
		return FITS;
	add_segment(builder, "BIOS data area: EBDA", BDA_EBDA_SEGMENT_GPA, ebda, sizeof(ebda), sizeof(ebda));
	add_segment(builder, "BIOS data area: memory", BDA_BASE_MEMORY_GPA, base, sizeof(base), sizeof(base));
	return FITS;
}

static enum fit place_all(struct builder *builder, const struct elf_image *elf, GError **error)
{
	enum fit fit = place_shim(builder, elf, error);

	if (fit == FITS)
		fit = place_modules(builder);
	if (fit == FITS)
		fit = place_tables(builder);
	return fit == FITS ? place_bios_data(builder) : fit;
}

static void builder_init(struct builder *builder, const struct boot_inputs *inputs)
{
	*builder = (struct builder){
		.inputs = inputs,
		.map = inputs->memory_map,
		.n_map = inputs->n_memory_map,
		/* All addresses of both protocols are of 32 bits, and so must be the ends. */
		.ram_top = MIN(inputs->low_ram_top_gpa, (UINT64_C(1) << 32) - PAGE),
		.segments = g_array_new(FALSE, FALSE, sizeof(struct boot_segment)),
	};
}

/*
 * Xen builds the guest in one chunk of 2^n bytes that holds its kernel, p2m and page tables, aligned to its size; the
 * alignment can cost as much again. Measured with a packed Debian kernel: 320 MiB of RAM panic, 384 boot (reference 1.9).
 */
static uint64_t guest_kernel_bytes(uint64_t kernel_bytes)
{
	uint64_t chunk = MIB;

	while (chunk < kernel_bytes + kernel_bytes / 4)
		chunk *= 2;
	return 2 * chunk;
}

static void report_no_room(const struct boot_inputs *inputs, const struct elf_image *elf, GError **error)
{
	const struct memory_map_entry imaginary[] = {
		{.gpa = 0, .len_bytes = 0xa0000, .type = MEMORY_MAP_RAM},
		{.gpa = MIB, .len_bytes = IMAGINARY_TOP - MIB, .type = MEMORY_MAP_RAM},
	};
	uint64_t end, enough_mib;
	struct builder builder;

	builder_init(&builder, inputs);
	builder.map = imaginary;
	builder.n_map = G_N_ELEMENTS(imaginary);
	builder.ram_top = IMAGINARY_TOP;
	if (place_all(&builder, elf, NULL) != FITS) {
		g_set_error(
			error, DOM1_ERROR, DOM1_STATUS_USAGE,
			"shim, kernel and initrd (%s: %zu MiB, %s: %zu MiB) do not fit below 3 GiB: give smaller ones",
			inputs->kernel.name != NULL ? inputs->kernel.name : "no kernel", inputs->kernel.len_bytes >> 20,
			inputs->initrd.name != NULL ? inputs->initrd.name : "no initrd",
			inputs->initrd.len_bytes >> 20);
		g_array_free(builder.segments, TRUE);
		return;
	}
	end = MAX(builder.shim_end + inputs->kernel.len_bytes + inputs->initrd.len_bytes, inputs->low_ram_top_gpa);
	/* The guest's own copies, beside what was loaded. */
	end += inputs->initrd.len_bytes + guest_kernel_bytes(inputs->kernel.len_bytes);
	enough_mib = (end + MIB - 1) / MIB + SHIM_AND_GUEST_MIB;
	enough_mib = (enough_mib + ENOUGH_ROUND_MIB - 1) / ENOUGH_ROUND_MIB * ENOUGH_ROUND_MIB;
	g_set_error(
		error, DOM1_ERROR, DOM1_STATUS_USAGE,
		"memory of %" G_GUINT64_FORMAT
		" MiB (below 4 GiB) does not hold shim, kernel and initrd: give at least --memory %" G_GUINT64_FORMAT
		"M",
		inputs->low_ram_top_gpa / MIB, enough_mib);
	g_array_free(builder.segments, TRUE);
}

static gboolean check_command_line(const char *line, const char *option, GError **error)
{
	size_t len = line != NULL ? strlen(line) : 0;

	if (len <= BOOT_MAX_COMMAND_LINE)
		return TRUE;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
		    "the command line of %s has %zu bytes, Xen takes %d: shorten it", option, len,
		    BOOT_MAX_COMMAND_LINE);
	return FALSE;
}

static gboolean check_memory_map(const struct boot_inputs *inputs, GError **error)
{
	uint64_t last = 0;

	for (size_t i = 0; i < inputs->n_memory_map; i++) {
		const struct memory_map_entry *entry = &inputs->memory_map[i];

		if (i >= BOOT_MAX_MEMORY_MAP || entry->gpa < last || entry->len_bytes > UINT64_MAX - entry->gpa) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT,
				    "a defect of dom1: entry %zu of the memory map is not in order", i);
			return FALSE;
		}
		last = entry->gpa + entry->len_bytes;
	}
	/* Both entries use page 0 as their first stack. */
	if (inputs->n_memory_map == 0 || inputs->memory_map[0].gpa != 0 ||
	    inputs->memory_map[0].type != MEMORY_MAP_RAM || inputs->memory_map[0].len_bytes < reserved[0].end) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "a defect of dom1: the memory map has no RAM at 0");
		return FALSE;
	}
	return TRUE;
}

static gboolean check_inputs(const struct boot_inputs *inputs, GError **error)
{
	if (inputs->kernel.len_bytes == 0 && inputs->entry == BOOT_ENTRY_MULTIBOOT && !inputs->alone) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: the kernel is empty: get the file again",
			    inputs->kernel.name != NULL ? inputs->kernel.name : "no kernel");
		return FALSE;
	}
	/* Where there is no shim, the kernel has its place. */
	if (!initrd_check(inputs->kernel.len_bytes != 0 ? &inputs->kernel : &inputs->shim, &inputs->initrd, error))
		return FALSE;
	return check_command_line(inputs->shim_command_line, "the shim (--shim-append)", error) &&
	       check_command_line(inputs->guest_command_line, "the guest (--append)", error) &&
	       check_memory_map(inputs, error);
}

enum boot_entry boot_entry_of(const struct boot_image *kernel)
{
	struct elf_image elf;
	uint32_t entry;

	if (elf_open(&elf, kernel->bytes, kernel->len_bytes, kernel->name, NULL) && !elf.is_64bit &&
	    !pvh_find_entry(&elf, kernel->name, &entry, NULL) &&
	    multiboot_check_header(kernel->bytes, kernel->len_bytes, kernel->name, NULL))
		return BOOT_ENTRY_MULTIBOOT;
	return BOOT_ENTRY_PVH;
}

static gboolean open_shim(const struct boot_inputs *inputs, struct elf_image *elf, uint32_t *entry, GError **error)
{
	const struct boot_image *shim = &inputs->shim;

	if (!elf_open(elf, shim->bytes, shim->len_bytes, shim->name, error))
		return FALSE;
	if (elf->machine != EM_386 && elf->machine != EM_X86_64) {
		const char *machine = elf_machine_name(elf->machine);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a shim for %s (ELF machine %u): give one built for x86", shim->name,
			    machine != NULL ? machine : "another machine", elf->machine);
		return FALSE;
	}
	if (inputs->entry == BOOT_ENTRY_PVH)
		return pvh_find_entry(elf, shim->name, entry, error);
	/* In an ELF of 64 bits the entry is a virtual address, and nothing says what 32-bit code would start at. */
	if (elf->is_64bit) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: a 64-bit ELF has no Multiboot entry: give /usr/lib/xen-VERSION/boot/xen-shim, or "
			    "--shim-entry pvh",
			    shim->name);
		return FALSE;
	}
	*entry = (uint32_t)elf->entry;
	return multiboot_check_header(shim->bytes, shim->len_bytes, shim->name, error);
}

static gint compare_segments(gconstpointer left, gconstpointer right)
{
	const struct boot_segment *a = left, *b = right;

	return a->gpa < b->gpa ? -1 : a->gpa > b->gpa;
}

static struct boot_plan *plan_from(struct builder *builder, uint32_t entry)
{
	struct boot_plan *plan = g_new0(struct boot_plan, 1);
	struct table_writer writer = {.base_gpa = builder->tables_gpa};

	plan->eip = entry;
	plan->eax = builder->inputs->entry == BOOT_ENTRY_MULTIBOOT ? MULTIBOOT_LOADER_MAGIC : 0;
	plan->tables = g_malloc0(builder->tables_bytes);
	writer.bytes = plan->tables;
	plan->ebx = write_tables(builder, &writer);
	for (guint i = 0; i < builder->segments->len; i++) {
		struct boot_segment *segment = &g_array_index(builder->segments, struct boot_segment, i);

		if (segment->gpa == builder->tables_gpa)
			segment->bytes = plan->tables;
	}
	g_array_sort(builder->segments, compare_segments);
	plan->n_segments = builder->segments->len;
	plan->segments = (struct boot_segment *)(void *)g_array_free(g_steal_pointer(&builder->segments), FALSE);
	return plan;
}

struct boot_plan *boot_plan_new(const struct boot_inputs *inputs, GError **error)
{
	struct boot_plan *plan = NULL;
	struct builder builder;
	struct elf_image elf;
	uint32_t entry;

	if (!check_inputs(inputs, error) || !open_shim(inputs, &elf, &entry, error))
		return NULL;
	builder_init(&builder, inputs);
	switch (place_all(&builder, &elf, error)) {
	case FITS:
		if (check_entry(&builder, entry, error))
			plan = plan_from(&builder, entry);
		break;
	case NO_ROOM:
		report_no_room(inputs, &elf, error);
		break;
	case FAILED:
		break;
	}
	if (builder.segments != NULL)
		g_array_free(builder.segments, TRUE);
	return plan;
}

void boot_plan_free(struct boot_plan *plan)
{
	if (plan == NULL)
		return;
	g_free(plan->segments);
	g_free(plan->tables);
	g_free(plan);
}
