// SPDX-License-Identifier: MIT
/* Sources: elf(5), <sys/procfs.h>, and Linux' Documentation/admin-guide/kdump/vmcoreinfo.rst. */
#include "vmm/core.h"

#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>

#include <glib.h>

#include "vmm/core_file.h"
#include "vmm/core_pv.h"
#include "vmm/evidence.h"
#include "vmm/guest_memory.h"

#define PIECE_BYTES        (UINT64_C(1) << 20)
#define VMCOREINFO         "VMCOREINFO"
#define VMCOREINFO_MAX     CORE_PAGE_BYTES
/* Linux' map of its own text and data: __START_KERNEL_map of arch/x86/include/asm/page_64_types.h, and its size. */
#define KERNEL_MAP         UINT64_C(0xffffffff80000000)
#define KERNEL_MAP_BYTES   (UINT64_C(1) << 30)

struct range {
	uint64_t gpa, len_bytes;
	uint64_t offset_bytes; /* in the file */
};

struct core {
	struct core_file file;
	const struct guest_memory *memory;
	GArray *ranges;  /* of struct range */
	GString *notes;
	bool has_kernel; /* where it lies is known: */
	struct range kernel;
	uint64_t kernel_gva;
};

/* Calls fn for each page that is there. FALSE from it ends that. */
static void each_page(const struct core *core, bool (*fn)(void *opaque, const uint8_t *page, uint64_t offset_bytes), void *opaque)
{
	for (guint i = 0; i < core->ranges->len; i++) {
		const struct range *range = &g_array_index(core->ranges, struct range, i);

		for (uint64_t done = 0; done < range->len_bytes; done += PIECE_BYTES) {
			const uint64_t len_bytes = MIN(PIECE_BYTES, range->len_bytes - done);
			const uint8_t *piece = guest_memory_span(core->memory, range->gpa + done, len_bytes);

			for (uint64_t at = 0; piece && at < len_bytes; at += CORE_PAGE_BYTES)
				if (!fn(opaque, piece + at, range->offset_bytes + done + at))
					return;
		}
	}
}

/* Notes */

static void add_note(GString *notes, const char *name, uint32_t type, const void *bytes, uint32_t len_bytes)
{
	static const char zeros[4];
	const Elf64_Nhdr header = { .n_namesz = (Elf64_Word)strlen(name) + 1, .n_descsz = len_bytes, .n_type = type };

	g_string_append_len(notes, (const char *)&header, sizeof(header));
	g_string_append_len(notes, name, header.n_namesz);
	g_string_append_len(notes, zeros, -notes->len & 3);
	g_string_append_len(notes, bytes, len_bytes);
	g_string_append_len(notes, zeros, -notes->len & 3);
}

static void add_vcpu(GString *notes, const struct evidence_vcpu *vcpu)
{
	const struct evidence_registers *r = &vcpu->registers;
	const unsigned long long registers[] = {
		/* struct user_regs_struct of <sys/user.h> */
		r->r15, r->r14, r->r13, r->r12, r->rbp, r->rbx, r->r11, r->r10, r->r9, r->r8, r->rax, r->rcx, r->rdx, r->rsi, r->rdi,
		/* orig_rax: of no system call */
		UINT64_MAX, r->rip, r->cs, r->rflags, r->rsp, r->ss,
	};
	struct elf_prstatus status = { .pr_pid = (pid_t)vcpu->number + 1 };

	memcpy(&status.pr_reg, registers, sizeof(registers));
	add_note(notes, "CORE", NT_PRSTATUS, &status, sizeof(status));
}

/* Linux writes it at the start of a page of its own, as a note that is ready to be copied. */
static bool find_vmcoreinfo(void *opaque, const uint8_t *page, uint64_t offset_bytes)
{
	static const char first_words[] = "OSRELEASE=";
	const size_t name_bytes = (sizeof(VMCOREINFO) + 3) / 4 * 4;
	GString *text = opaque;
	Elf64_Nhdr header;

	(void)offset_bytes;
	memcpy(&header, page, sizeof(header));
	if (header.n_namesz != sizeof(VMCOREINFO) || header.n_type != 0 || header.n_descsz < sizeof(first_words) ||
	    header.n_descsz > VMCOREINFO_MAX - sizeof(header) - name_bytes ||
	    memcmp(page + sizeof(header), VMCOREINFO, sizeof(VMCOREINFO)) != 0)
		return true;
	const char *words = (const char *)page + sizeof(header) + name_bytes;
	if (strncmp(words, first_words, sizeof(first_words) - 1) != 0)
		return true;
	g_string_append_len(text, words, header.n_descsz);
	return false;
}

/* "KEY=NUMBER" at the start of a line. */
static bool vmcoreinfo_number(const GString *text, const char *key, gint64 *number)
{
	g_autofree char *line = g_strconcat("\n", key, "=", NULL);
	g_autofree char *copy = g_strndup(text->str, text->len);
	const char *at = strstr(copy, line);

	if (at)
		*number = g_ascii_strtoll(at + strlen(line), NULL, 10);
	return at != NULL;
}

/* The range of RAM at which the kernel's map of itself begins. */
static void find_kernel(struct core *core, const GString *vmcoreinfo)
{
	gint64 phys_base;

	if (!vmcoreinfo_number(vmcoreinfo, "NUMBER(phys_base)", &phys_base))
		return;
	/* KASLR may have moved it down as well, in steps of 2 MiB; then the map begins before the memory does. */
	const uint64_t skip_bytes = phys_base < 0 ? 0 - (uint64_t)phys_base : 0;
	const uint64_t gpa = phys_base < 0 ? 0 : (uint64_t)phys_base;

	for (guint i = 0; i < core->ranges->len && skip_bytes < KERNEL_MAP_BYTES; i++) {
		const struct range *range = &g_array_index(core->ranges, struct range, i);
		/* The hole below 1 MiB is before every kernel. */
		const uint64_t from = MAX(gpa, range->gpa);
		const uint64_t lost_bytes = skip_bytes + (from - gpa);

		if (from >= range->gpa + range->len_bytes || range->len_bytes < PIECE_BYTES || lost_bytes >= KERNEL_MAP_BYTES)
			continue;
		core->kernel = (struct range){ from, MIN(range->gpa + range->len_bytes - from, KERNEL_MAP_BYTES - lost_bytes),
					       range->offset_bytes + (from - range->gpa) };
		core->kernel_gva = KERNEL_MAP + lost_bytes;
		core->has_kernel = true;
		return;
	}
}

/* The file */

static void add_ranges(struct core *core)
{
	const struct layout *layout = guest_memory_layout(core->memory);
	uint64_t offset_bytes = 0;

	for (size_t i = 0; i < layout->n_map; i++) {
		struct range range = { layout->map[i].gpa, layout->map[i].len_bytes / CORE_PAGE_BYTES * CORE_PAGE_BYTES, offset_bytes };

		if (layout->map[i].type != MEMORY_MAP_RAM || range.len_bytes == 0)
			continue;
		g_array_append_val(core->ranges, range);
		offset_bytes += range.len_bytes;
	}
}

static uint64_t n_program_headers(const struct core *core)
{
	return 1 + core->ranges->len + core->has_kernel;
}

static void write_headers(struct core *core)
{
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)n_program_headers(core),
	};
	const uint64_t notes_offset = sizeof(header) + n_program_headers(core) * sizeof(Elf64_Phdr);
	Elf64_Phdr part = { .p_type = PT_NOTE, .p_offset = notes_offset, .p_filesz = core->notes->len, .p_align = 4 };
	uint64_t at = sizeof(header);

	core_file_write(&core->file, &header, sizeof(header), 0);
	core_file_write(&core->file, &part, sizeof(part), at);
	for (guint i = 0; i < core->ranges->len; i++) {
		const struct range *range = &g_array_index(core->ranges, struct range, i);

		part = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_W | PF_X, .p_offset = range->offset_bytes,
				     .p_vaddr = range->gpa, .p_paddr = range->gpa, .p_filesz = range->len_bytes,
				     .p_memsz = range->len_bytes, .p_align = CORE_PAGE_BYTES };
		core_file_write(&core->file, &part, sizeof(part), at += sizeof(part));
	}
	if (core->has_kernel) {
		part.p_offset = core->kernel.offset_bytes;
		part.p_vaddr = core->kernel_gva;
		part.p_paddr = core->kernel.gpa;
		part.p_filesz = part.p_memsz = core->kernel.len_bytes;
		core_file_write(&core->file, &part, sizeof(part), at + sizeof(part));
	}
	core_file_write(&core->file, core->notes->str, core->notes->len, notes_offset);
}

/* Memory begins at the first page behind headers and notes. */
static uint64_t place_memory(struct core *core)
{
	/* One header more than there may be does no harm. */
	const uint64_t head_bytes = sizeof(Elf64_Ehdr) + (core->ranges->len + 2) * sizeof(Elf64_Phdr) + core->notes->len;
	const uint64_t start = (head_bytes + CORE_PAGE_BYTES - 1) / CORE_PAGE_BYTES * CORE_PAGE_BYTES;
	uint64_t end = start;

	for (guint i = 0; i < core->ranges->len; i++) {
		struct range *range = &g_array_index(core->ranges, struct range, i);

		range->offset_bytes += start;
		end = range->offset_bytes + range->len_bytes;
	}
	return end;
}

static bool write_page(void *opaque, const uint8_t *page, uint64_t offset_bytes)
{
	struct core *core = opaque;

	core_file_write_page(&core->file, page, offset_bytes);
	return core->file.error == 0;
}

static void write_machine(struct core *core, const struct evidence *evidence)
{
	g_autoptr(GString) vmcoreinfo = g_string_new(NULL);

	add_ranges(core);
	for (uint32_t i = 0; i < MIN(evidence->n_vcpus, (uint32_t)EVIDENCE_MAX_VCPUS); i++)
		add_vcpu(core->notes, &evidence->vcpus[i]);
	each_page(core, find_vmcoreinfo, vmcoreinfo);
	if (vmcoreinfo->len > 0)
		add_note(core->notes, VMCOREINFO, 0, vmcoreinfo->str, (uint32_t)vmcoreinfo->len);
	const uint64_t end = place_memory(core);
	if (!evidence->has_shim)
		find_kernel(core, vmcoreinfo);
	core_file_start(&core->file, end);
	write_headers(core);
	each_page(core, write_page, core);
}

int core_write(int fd, const struct guest_memory *memory, const struct evidence *evidence)
{
	struct core core = { .file.fd = fd, .memory = memory };

	if (evidence->has_shim && core_pv_write(&core.file, memory, evidence))
		return core.file.error;
	core.ranges = g_array_new(FALSE, FALSE, sizeof(struct range));
	core.notes = g_string_new(NULL);
	write_machine(&core, evidence);
	g_string_free(core.notes, TRUE);
	g_array_unref(core.ranges);
	return core.file.error;
}
