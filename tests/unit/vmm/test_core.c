// SPDX-License-Identifier: MIT
/* The ELF core, read back by another way: every byte of RAM, the registers, VMCOREINFO, and the kernel's own addresses. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <unistd.h>

#include <glib.h>

#include <xen/xen.h>

#include "vmm/core.h"
#include "vmm/evidence.h"
#include "vmm/guest_memory.h"

#define MIB         (UINT64_C(1) << 20)
#define PATTERN_GPA (5 * MIB + 4096 + 123)
#define NOTE_GPA    (7 * MIB)
#define PHYS_BASE   (4 * MIB)

static const char pattern[] = "Linux version 6.1.0 of a test";

struct fixture {
	struct guest_memory *memory;
	struct evidence evidence;
	int fd;
	const uint8_t *bytes; /* of the core */
	size_t len_bytes;
	off_t used_bytes;
};

static void put(struct fixture *f, uint64_t gpa, const void *bytes, size_t len_bytes)
{
	g_assert_true(guest_memory_write(f->memory, gpa, bytes, len_bytes));
}

/* Low RAM of 32 MiB, and 64 above 4 GiB. */
static void setup(struct fixture *f, gconstpointer data)
{
	g_autoptr(GError) error = NULL;
	struct layout layout;

	(void)data;
	g_assert_true(layout_init(&layout, 96 * MIB, 32 * MIB, &error));
	g_assert_no_error(error);
	f->memory = guest_memory_new(&layout, &error);
	g_assert_no_error(error);
	f->fd = memfd_create("core", MFD_CLOEXEC);
	f->evidence.n_vcpus = 2;
	f->evidence.vcpus[0].registers = (struct evidence_registers){ .rip = 0xffffffff81001000, .rsp = 0xffffc90000001000, .r15 = 15,
								     .rax = 1, .cs = 0x10, .ss = 0x18, .rflags = 0x246 };
	f->evidence.vcpus[1].number = 1;
	f->evidence.vcpus[1].registers.rip = 0x1234;
}

static void teardown(struct fixture *f, gconstpointer data)
{
	(void)data;
	if (f->bytes)
		munmap((void *)(uintptr_t)f->bytes, f->len_bytes);
	guest_memory_free(f->memory);
	close(f->fd);
}

static void dump(struct fixture *f)
{
	struct stat status;

	g_assert_cmpint(core_write(f->fd, f->memory, &f->evidence), ==, 0);
	g_assert_cmpint(fstat(f->fd, &status), ==, 0);
	f->len_bytes = (size_t)status.st_size;
	/* Reading through a mapping fills the holes of a file that is memory. */
	f->used_bytes = status.st_blocks * 512;
	f->bytes = mmap(NULL, f->len_bytes, PROT_READ, MAP_PRIVATE, f->fd, 0);
	g_assert_true(f->bytes != MAP_FAILED);
}

static Elf64_Phdr part(const struct fixture *f, unsigned int i)
{
	const Elf64_Ehdr *header = (const void *)f->bytes;
	Elf64_Phdr found;

	g_assert_cmpuint(i, <, header->e_phnum);
	memcpy(&found, f->bytes + header->e_phoff + i * sizeof(found), sizeof(found));
	g_assert_cmpuint(found.p_offset + found.p_filesz, <=, f->len_bytes);
	return found;
}

/* Where an address is in the file; virtual or physical. NULL: nowhere. */
static const uint8_t *find(const struct fixture *f, uint64_t address, bool is_virtual)
{
	const Elf64_Ehdr *header = (const void *)f->bytes;

	for (unsigned int i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr load = part(f, i);
		const uint64_t start = is_virtual ? load.p_vaddr : load.p_paddr;

		if (load.p_type == PT_LOAD && address >= start && address - start < load.p_filesz)
			return f->bytes + load.p_offset + (address - start);
	}
	return NULL;
}

/* The descriptor of the n-th note of this name and type; NULL: there is none. */
static const uint8_t *note(const struct fixture *f, const char *name, uint32_t type, unsigned int n, uint32_t *len_bytes)
{
	const Elf64_Phdr notes = part(f, 0);
	uint64_t at = notes.p_offset;

	g_assert_cmpuint(notes.p_type, ==, PT_NOTE);
	while (at < notes.p_offset + notes.p_filesz) {
		Elf64_Nhdr header;

		memcpy(&header, f->bytes + at, sizeof(header));
		const char *its_name = (const char *)f->bytes + at + sizeof(header);
		const uint8_t *descriptor = (const uint8_t *)its_name + (header.n_namesz + 3) / 4 * 4;
		if (strcmp(its_name, name) == 0 && header.n_type == type && n-- == 0) {
			*len_bytes = header.n_descsz;
			return descriptor;
		}
		at = (uint64_t)(descriptor - f->bytes) + (header.n_descsz + 3) / 4 * 4;
	}
	g_assert_cmpuint(at, ==, notes.p_offset + notes.p_filesz);
	return NULL;
}

static void assert_same(const uint8_t *found, const void *expected, size_t len_bytes)
{
	g_assert_nonnull(found);
	g_assert_cmpint(memcmp(found, expected, len_bytes), ==, 0);
}

static void test_memory(struct fixture *f, gconstpointer data)
{
	const struct layout *layout = guest_memory_layout(f->memory);

	(void)data;
	put(f, PATTERN_GPA, pattern, sizeof(pattern));
	put(f, 0, "x", 1);
	dump(f);
	assert_same(find(f, PATTERN_GPA, false), pattern, sizeof(pattern));
	for (size_t i = 0; i < layout->n_map; i++) {
		const bool is_ram = layout->map[i].type == MEMORY_MAP_RAM;
		const uint8_t *found = find(f, layout->map[i].gpa, false);

		g_assert_true((found != NULL) == is_ram);
		if (!is_ram)
			continue;
		g_autofree uint8_t *expected = g_malloc(layout->map[i].len_bytes);
		g_assert_true(guest_memory_read(f->memory, layout->map[i].gpa, expected, layout->map[i].len_bytes));
		g_assert_cmpint(memcmp(found, expected, layout->map[i].len_bytes / 4096 * 4096), ==, 0);
	}
	/* The holes are holes. */
	g_assert_cmpint(f->used_bytes, <, (off_t)MIB);
	g_assert_cmpuint(f->len_bytes, >, 90 * MIB);
}

static void test_registers(struct fixture *f, gconstpointer data)
{
	struct elf_prstatus status;
	struct user_regs_struct registers;
	uint32_t len_bytes;

	(void)data;
	dump(f);
	memcpy(&status, note(f, "CORE", NT_PRSTATUS, 0, &len_bytes), sizeof(status));
	g_assert_cmpuint(len_bytes, ==, sizeof(status));
	memcpy(&registers, &status.pr_reg, sizeof(registers));
	g_assert_cmphex(registers.rip, ==, 0xffffffff81001000);
	g_assert_cmphex(registers.rsp, ==, 0xffffc90000001000);
	g_assert_cmphex(registers.r15, ==, 15);
	g_assert_cmphex(registers.rax, ==, 1);
	g_assert_cmphex(registers.cs, ==, 0x10);
	g_assert_cmphex(registers.ss, ==, 0x18);
	g_assert_cmphex(registers.eflags, ==, 0x246);
	memcpy(&status, note(f, "CORE", NT_PRSTATUS, 1, &len_bytes), sizeof(status));
	memcpy(&registers, &status.pr_reg, sizeof(registers));
	g_assert_cmphex(registers.rip, ==, 0x1234);
	g_assert_cmpint(status.pr_pid, ==, 2);
	g_assert_null(note(f, "CORE", NT_PRSTATUS, 2, &len_bytes));
	g_assert_null(note(f, "VMCOREINFO", 0, 0, &len_bytes));
}

static void put_vmcoreinfo(struct fixture *f, const char *text)
{
	const Elf64_Nhdr header = { .n_namesz = sizeof("VMCOREINFO"), .n_descsz = (Elf64_Word)strlen(text) };
	char name[12] = "VMCOREINFO";

	put(f, NOTE_GPA, &header, sizeof(header));
	put(f, NOTE_GPA + sizeof(header), name, sizeof(name));
	put(f, NOTE_GPA + sizeof(header) + sizeof(name), text, strlen(text));
}

static void test_kernel(struct fixture *f, gconstpointer data)
{
	static const char text[] = "OSRELEASE=6.1.0\nPAGESIZE=4096\nNUMBER(phys_base)=4194304\n";
	uint32_t len_bytes;

	(void)data;
	put_vmcoreinfo(f, text);
	put(f, PATTERN_GPA, pattern, sizeof(pattern));
	dump(f);
	const uint8_t *found = note(f, "VMCOREINFO", 0, 0, &len_bytes);
	g_assert_cmpuint(len_bytes, ==, strlen(text));
	assert_same(found, text, len_bytes);
	found = find(f, UINT64_C(0xffffffff80000000) + PATTERN_GPA - PHYS_BASE, true);
	assert_same(found, pattern, sizeof(pattern));
	/* The same bytes of the file. */
	g_assert_true(found == find(f, PATTERN_GPA, false));
}

/* In the shim the kernel is not where it thinks. */
static void test_shim(struct fixture *f, gconstpointer data)
{
	(void)data;
	put_vmcoreinfo(f, "OSRELEASE=6.1.0\nNUMBER(phys_base)=4194304\n");
	f->evidence.has_shim = true;
	dump(f);
	g_assert_null(find(f, UINT64_C(0xffffffff80000000) + PATTERN_GPA - PHYS_BASE, true));
}

#define TABLES_GPA UINT64_C(0x100000)
#define FRAMES     UINT64_C(2048) /* behind the 8 MiB that the other tests use */
#define MAP_PAGES  512u
#define HOLE       300u

/* Page tables as a PV Linux has them, whose page N is in another frame of the machine each time. */
static void put_page_tables(struct fixture *f)
{
	const uint64_t gva = UINT64_C(0xffff888000000000);
	const unsigned int shifts[] = { 39, 30, 21 };

	for (unsigned int level = 0; level < 3; level++) {
		const uint64_t entry = (TABLES_GPA + (level + 1) * 4096) | 7;

		put(f, TABLES_GPA + level * 4096 + (gva >> shifts[level] & 511) * 8, &entry, sizeof(entry));
	}
	for (uint64_t pfn = 0; pfn < MAP_PAGES; pfn++) {
		const uint64_t frame = FRAMES + pfn * 7 % MAP_PAGES;
		const uint64_t entry = pfn == HOLE ? 0 : frame * 4096 | 7;

		put(f, TABLES_GPA + 3 * 4096 + pfn * 8, &entry, sizeof(entry));
		if (pfn % 3)
			put(f, frame * 4096, &pfn, sizeof(pfn));
	}
	f->evidence.has_shim = true;
	/* This one is idle, and on tables of the shim's. */
	f->evidence.vcpus[0].cr3 = 0x5000000;
	f->evidence.vcpus[1].has_guest_registers = true;
	f->evidence.vcpus[1].guest.rip = 0xffffffff81002000;
	for (unsigned int i = 0; i < 2; i++) {
		f->evidence.vcpus[i].cr0 = 0x80050033;
		f->evidence.vcpus[i].cr4 = 0x3006e0; /* with SMAP */
		f->evidence.vcpus[i].efer = 0xd01;
	}
	f->evidence.vcpus[1].cr3 = TABLES_GPA;
}

static Elf64_Shdr section(const struct fixture *f, const char *name)
{
	const Elf64_Ehdr *header = (const void *)f->bytes;
	const Elf64_Shdr *sections = (const void *)(f->bytes + header->e_shoff);
	const char *names = (const char *)f->bytes + sections[header->e_shstrndx].sh_offset;

	g_assert_cmpuint(header->e_shoff + header->e_shnum * sizeof(*sections), ==, f->len_bytes);
	for (unsigned int i = 1; i < header->e_shnum; i++) {
		g_assert_cmpuint(sections[i].sh_offset + sections[i].sh_size, <=, header->e_shoff);
		if (strcmp(names + sections[i].sh_name, name) == 0)
			return sections[i];
	}
	g_error("no section %s", name);
}

/* Each page is the one that its guest has at that place, wherever it is in the machine; the registers are the guest's. */
static void test_pv_linux(struct fixture *f, gconstpointer data)
{
	struct vcpu_guest_context context;

	(void)data;
	put_page_tables(f);
	dump(f);
	const Elf64_Shdr p2m = section(f, ".xen_p2m"), pages = section(f, ".xen_pages"), contexts = section(f, ".xen_prstatus");
	g_assert_cmpuint(p2m.sh_size, ==, MAP_PAGES * 16);
	g_assert_cmpuint(pages.sh_size, ==, MAP_PAGES * 4096);
	for (uint64_t pfn = 0; pfn < MAP_PAGES; pfn++) {
		const uint64_t *entry = (const void *)(f->bytes + p2m.sh_offset + pfn * 16);
		const uint64_t *page = (const void *)(f->bytes + pages.sh_offset + pfn * 4096);

		g_assert_cmpuint(entry[0], ==, pfn);
		g_assert_cmphex(entry[1], ==, pfn == HOLE ? UINT64_MAX : FRAMES + pfn * 7 % MAP_PAGES);
		g_assert_cmpuint(*page, ==, pfn == HOLE || pfn % 3 == 0 ? 0 : pfn);
	}
	g_assert_cmpuint(contexts.sh_size, ==, 2 * sizeof(context));
	memcpy(&context, f->bytes + contexts.sh_offset, sizeof(context));
	g_assert_cmphex(context.user_regs.rip, ==, 0xffffffff81001000);
	g_assert_cmphex(context.ctrlreg[3], ==, TABLES_GPA);
	memcpy(&context, f->bytes + contexts.sh_offset + sizeof(context), sizeof(context));
	g_assert_cmphex(context.user_regs.rip, ==, 0xffffffff81002000);
	g_assert_cmphex(context.ctrlreg[3], ==, TABLES_GPA);
}

/* What only looks like it: another name, a length beyond the page, other words. */
static void test_not_vmcoreinfo(struct fixture *f, gconstpointer data)
{
	Elf64_Nhdr header = { .n_namesz = sizeof("VMCOREINFO"), .n_descsz = 4096 };
	uint32_t len_bytes;

	(void)data;
	put_vmcoreinfo(f, "OSRELEASE=6.1.0\n");
	put(f, NOTE_GPA, &header, sizeof(header));
	put(f, NOTE_GPA + 4096, "VMCOREINFO", sizeof("VMCOREINFO"));
	dump(f);
	g_assert_null(note(f, "VMCOREINFO", 0, 0, &len_bytes));
}

static void test_refused(struct fixture *f, gconstpointer data)
{
	(void)data;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	g_assert_cmpint(core_write(fd, f->memory, &f->evidence), !=, 0);
	close(fd);
	g_assert_cmpint(core_write(-1, f->memory, &f->evidence), ==, EBADF);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add("/core/" name, struct fixture, NULL, setup, test, teardown)
	ADD("memory", test_memory);
	ADD("registers", test_registers);
	ADD("kernel", test_kernel);
	ADD("shim", test_shim);
	ADD("pv-linux", test_pv_linux);
	ADD("not-vmcoreinfo", test_not_vmcoreinfo);
	ADD("refused", test_refused);
	return g_test_run();
}
