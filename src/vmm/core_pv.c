// SPDX-License-Identifier: MIT
/*
 * Sources: docs/misc/dump-core-format.txt of Xen, <xen/elfnote.h>; Documentation/arch/x86/x86_64/mm.rst of Linux for its map of
 * all memory.
 *
 * crash takes the place of a page in .xen_p2m for its number. So pages that are mapped nowhere, as those that Linux has given
 * back, are there too: zeros, with a frame that is none.
 */
#include "vmm/core_pv.h"

#include <elf.h>
#include <string.h>

#include <glib.h>

#include <xen/xen.h>
#include <xen/elfnote.h>
#include <xen/version.h>

#include "vmm/core_file.h"
#include "vmm/evidence.h"
#include "vmm/guest_memory.h"
#include "vmm/guest_walk.h"

#define XC_CORE_MAGIC      UINT64_C(0xf00febed) /* of a PV domain */
#define NO_FRAME           UINT64_MAX
#define SECTION_ALIGN      CORE_PAGE_BYTES

struct page {
	uint64_t pfn, gmfn;
};

struct section {
	const char *name;
	uint32_t type;
	const void *bytes; /* NULL: written by other means */
	uint64_t len_bytes, entry_bytes;
	uint64_t offset_bytes;
};

/* TRUE and the frame of the machine in which the page at gva is. */
static bool find_frame(const struct guest_memory *memory, const struct evidence_vcpu *vcpu, uint64_t gva, uint64_t *gmfn)
{
	/* As the kernel itself would read it, whose pages are CPL 3's in Xen's eyes: no SMAP. */
	const struct guest_paging paging = { .cr0 = vcpu->cr0, .cr3 = vcpu->cr3, .cr4 = vcpu->cr4 & ~UINT64_C(0x600000), .efer = vcpu->efer };
	uint64_t gpa;

	if (!guest_walk(memory, &paging, gva, GUEST_READ, &gpa))
		return false;
	*gmfn = gpa / CORE_PAGE_BYTES;
	return true;
}

/* Linux' map of all memory, since 4.20 and before: page_offset_base without KASLR, which PV kernels do not have. */
static bool find_linux(const struct guest_memory *memory, const struct evidence *evidence, const struct evidence_vcpu **vcpu,
		       uint64_t *map_gva)
{
	static const uint64_t maps[] = { UINT64_C(0xffff888000000000), UINT64_C(0xffff880000000000) };
	uint64_t gmfn;

	for (uint32_t i = 0; i < MIN(evidence->n_vcpus, (uint32_t)EVIDENCE_MAX_VCPUS); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(maps); j++) {
			*vcpu = &evidence->vcpus[i];
			*map_gva = maps[j];
			/* Its first page, and what is behind all those that a BIOS would have. */
			if (find_frame(memory, *vcpu, *map_gva, &gmfn) &&
			    find_frame(memory, *vcpu, *map_gva + (UINT64_C(1) << 20), &gmfn))
				return true;
		}
	return false;
}

static GArray *list_pages(const struct guest_memory *memory, const struct evidence_vcpu *vcpu, uint64_t map_gva)
{
	const uint64_t n_max = guest_memory_layout(memory)->ram_bytes / CORE_PAGE_BYTES;
	GArray *pages = g_array_new(FALSE, FALSE, sizeof(struct page));
	guint n = 0;

	for (uint64_t pfn = 0; pfn < n_max; pfn++) {
		struct page page = { pfn, NO_FRAME };

		if (find_frame(memory, vcpu, map_gva + pfn * CORE_PAGE_BYTES, &page.gmfn))
			n = (guint)pfn + 1;
		g_array_append_val(pages, page);
	}
	return g_array_set_size(pages, n);
}

static void fill_context(struct vcpu_guest_context *context, const struct evidence_vcpu *vcpu, uint64_t cr3)
{
	const struct evidence_registers *r = vcpu->has_guest_registers ? &vcpu->guest : &vcpu->registers;

	context->user_regs = (struct cpu_user_regs){
		.r15 = r->r15, .r14 = r->r14, .r13 = r->r13, .r12 = r->r12, .rbp = r->rbp, .rbx = r->rbx, .r11 = r->r11, .r10 = r->r10,
		.r9 = r->r9, .r8 = r->r8, .rax = r->rax, .rcx = r->rcx, .rdx = r->rdx, .rsi = r->rsi, .rdi = r->rdi, .rip = r->rip,
		.cs = r->cs, .rflags = r->rflags, .rsp = r->rsp, .ss = r->ss,
	};
	context->ctrlreg[0] = vcpu->cr0;
	context->ctrlreg[2] = vcpu->cr2;
	/* A vCPU that is idle may be on tables of the shim's own. */
	context->ctrlreg[3] = cr3;
	context->ctrlreg[4] = vcpu->cr4;
}

/* Of what is written: sizes and kinds. */
static GString *make_notes(uint64_t n_vcpus, uint64_t n_pages)
{
	static const char name[] = "Xen";
	const uint64_t header[] = { XC_CORE_MAGIC, n_vcpus, n_pages, CORE_PAGE_BYTES };
	const struct {
		uint64_t major, minor;
		xen_extraversion_t extra;
		struct xen_compile_info compile_info;
		xen_capabilities_info_t capabilities;
		xen_changeset_info_t changeset;
		struct xen_platform_parameters platform;
		uint64_t page_bytes;
	} version = { .page_bytes = CORE_PAGE_BYTES }; /* the shim has told nobody which Xen it is */
	const uint64_t format_version = 1;
	const struct {
		uint32_t type;
		const void *bytes;
		size_t len_bytes;
	} notes[] = {
		{ XEN_ELFNOTE_DUMPCORE_NONE, NULL, 0 },
		{ XEN_ELFNOTE_DUMPCORE_HEADER, header, sizeof(header) },
		{ XEN_ELFNOTE_DUMPCORE_XEN_VERSION, &version, sizeof(version) },
		{ XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, &format_version, sizeof(format_version) },
	};
	GString *bytes = g_string_new(NULL);

	for (size_t i = 0; i < G_N_ELEMENTS(notes); i++) {
		const Elf64_Nhdr head = { sizeof(name), (Elf64_Word)notes[i].len_bytes, notes[i].type };

		g_string_append_len(bytes, (const char *)&head, sizeof(head));
		g_string_append_len(bytes, name, sizeof(name));
		if (notes[i].bytes)
			g_string_append_len(bytes, notes[i].bytes, (gssize)notes[i].len_bytes);
	}
	return bytes;
}

/* The first section: an empty name, and those of all sections. */
static GString *make_names(const struct section *sections, size_t n)
{
	GString *names = g_string_new_len("", 1);

	for (size_t i = 0; i < n; i++)
		g_string_append_len(names, sections[i].name, (gssize)strlen(sections[i].name) + 1);
	return names;
}

/* Sections one after the other behind the header, and their headers at the end. Returns where those are. */
static uint64_t place_sections(struct section *sections, size_t n)
{
	uint64_t at = SECTION_ALIGN;

	for (size_t i = 0; i < n; i++) {
		sections[i].offset_bytes = at;
		at = (at + sections[i].len_bytes + SECTION_ALIGN - 1) / SECTION_ALIGN * SECTION_ALIGN;
	}
	return at;
}

static void write_headers(struct core_file *file, const struct section *sections, size_t n, const char *names, uint64_t at)
{
	const Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_shoff = at,
		.e_ehsize = sizeof(header),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(n + 1),
		.e_shstrndx = 1,
	};
	Elf64_Word name = 1;

	core_file_write(file, &header, sizeof(header), 0);
	/* The first one stays zeros. */
	for (size_t i = 0; i < n; i++) {
		const Elf64_Shdr section = { .sh_name = name, .sh_type = sections[i].type, .sh_offset = sections[i].offset_bytes,
					     .sh_size = sections[i].len_bytes, .sh_addralign = 1, .sh_entsize = sections[i].entry_bytes };

		core_file_write(file, &section, sizeof(section), at + (i + 1) * sizeof(section));
		if (sections[i].bytes)
			core_file_write(file, sections[i].bytes, sections[i].len_bytes, sections[i].offset_bytes);
		name += (Elf64_Word)strlen(names + name) + 1;
	}
}

static void write_pages(struct core_file *file, const struct guest_memory *memory, const GArray *pages, uint64_t offset_bytes)
{
	for (guint i = 0; i < pages->len && file->error == 0; i++) {
		const struct page *page = &g_array_index(pages, struct page, i);
		const uint8_t *bytes = page->gmfn == NO_FRAME ? NULL :
								guest_memory_span(memory, page->gmfn * CORE_PAGE_BYTES, CORE_PAGE_BYTES);

		if (bytes)
			core_file_write_page(file, bytes, offset_bytes + (uint64_t)i * CORE_PAGE_BYTES);
	}
}

bool core_pv_write(struct core_file *file, const struct guest_memory *memory, const struct evidence *evidence)
{
	const uint32_t n_vcpus = MIN(evidence->n_vcpus, (uint32_t)EVIDENCE_MAX_VCPUS);
	const struct evidence_vcpu *in_guest;
	uint64_t map_gva;

	if (!find_linux(memory, evidence, &in_guest, &map_gva))
		return false;
	g_autoptr(GArray) pages = list_pages(memory, in_guest, map_gva);
	g_autofree struct vcpu_guest_context *contexts = g_new0(struct vcpu_guest_context, n_vcpus);
	g_autoptr(GString) notes = make_notes(n_vcpus, pages->len);
	struct section sections[] = {
		{ ".shstrtab", SHT_STRTAB, NULL, 0, 0, 0 },
		{ ".note.Xen", SHT_NOTE, notes->str, notes->len, 0, 0 },
		{ ".xen_prstatus", SHT_PROGBITS, contexts, n_vcpus * sizeof(*contexts), sizeof(*contexts), 0 },
		{ ".xen_p2m", SHT_PROGBITS, pages->data, pages->len * sizeof(struct page), sizeof(struct page), 0 },
		{ ".xen_pages", SHT_PROGBITS, NULL, (uint64_t)pages->len * CORE_PAGE_BYTES, CORE_PAGE_BYTES, 0 },
	};

	for (uint32_t i = 0; i < n_vcpus; i++)
		fill_context(&contexts[i], &evidence->vcpus[i], in_guest->cr3);
	g_autoptr(GString) names = make_names(sections, G_N_ELEMENTS(sections));
	sections[0].bytes = names->str;
	sections[0].len_bytes = names->len;
	const uint64_t headers_at = place_sections(sections, G_N_ELEMENTS(sections));
	core_file_start(file, headers_at + (G_N_ELEMENTS(sections) + 1) * sizeof(Elf64_Shdr));
	write_headers(file, sections, G_N_ELEMENTS(sections), names->str, headers_at);
	write_pages(file, memory, pages, sections[4].offset_bytes);
	return true;
}
