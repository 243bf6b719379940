// SPDX-License-Identifier: MIT
/* Symbols of a System.map, of /proc/kallsyms and of an ELF; every prefix and ten thousand mutations of each. */
#include <elf.h>
#include <stdbool.h>
#include <string.h>

#include <glib.h>

#include "vmm/error.h"
#include "vmm/symbols.h"

#define MUTATIONS 10000

static const char map_text[] = "0000000000000000 A fixed_percpu_data\n"
			       "ffffffff81000000 T _text\n"
			       "ffffffff81000100 t secondary_startup\n"
			       "ffffffff81000180 D some_data\n"
			       "ffffffff81002000 W weak_one\t[module]\n"
			       "ffffffffa0000000 t in_a_module\t[module]\n";

struct image {
	Elf64_Ehdr header;
	Elf64_Shdr sections[3];
	Elf64_Sym symbols[3];
	char strings[32];
};

static void make_elf(struct image *image)
{
	*image = (struct image){
		.header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			    .e_shoff = offsetof(struct image, sections), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3 },
		.sections = { { 0 },
			      { .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct image, symbols),
				.sh_size = sizeof(image->symbols), .sh_link = 2, .sh_entsize = sizeof(Elf64_Sym) },
			      { .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct image, strings),
				.sh_size = sizeof(image->strings) } },
		.symbols = { { 0 },
			     { .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_value = 0x2000 },
			     { .st_name = 7, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_value = 0x1000 } },
		.strings = "\0later\0early",
	};
}

static void expect(const struct symbols *symbols, uint64_t address, const char *name, uint64_t offset_bytes)
{
	uint64_t found_offset_bytes = UINT64_MAX;

	g_assert_cmpstr(symbols_lookup(symbols, address, &found_offset_bytes), ==, name);
	if (name)
		g_assert_cmpuint(found_offset_bytes, ==, offset_bytes);
}

static void test_system_map(void)
{
	g_autoptr(GError) error = NULL;
	struct symbols *symbols = symbols_parse((const uint8_t *)map_text, strlen(map_text), "map", &error);

	g_assert_no_error(error);
	expect(symbols, 0xffffffff80ffffff, NULL, 0);
	expect(symbols, 0xffffffff81000000, "_text", 0);
	expect(symbols, 0xffffffff810000ff, "_text", 0xff);
	/* Data is no place to be executing in. */
	expect(symbols, 0xffffffff81000190, "secondary_startup", 0x90);
	expect(symbols, 0xffffffff81002001, "weak_one", 1);
	expect(symbols, 0xffffffffa0000004, "in_a_module", 4);
	expect(symbols, 0xffffffffa0000000 + (1 << 20), NULL, 0);
	symbols_free(symbols);
	expect(NULL, 0xffffffff81000000, NULL, 0);
}

static void test_elf(void)
{
	g_autoptr(GError) error = NULL;
	struct image image;

	make_elf(&image);
	struct symbols *symbols = symbols_parse((const uint8_t *)&image, sizeof(image), "elf", &error);
	g_assert_no_error(error);
	expect(symbols, 0xfff, NULL, 0);
	expect(symbols, 0x1234, "early", 0x234);
	expect(symbols, 0x2000, "later", 0);
	symbols_free(symbols);
}

/* A copy that ends where the bytes end, so that a sanitizer sees who reads on. TRUE: accepted. */
static bool try_bytes(const uint8_t *bytes, size_t len_bytes)
{
	g_autofree uint8_t *exact = g_memdup2(bytes, len_bytes);
	g_autoptr(GError) error = NULL;
	struct symbols *symbols = symbols_parse(exact, len_bytes, "damaged", &error);
	uint64_t offset_bytes;

	if (!symbols) {
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_assert_null(strchr(error->message, '\n'));
		return false;
	}
	/* Whatever is found is a string, and the address is at or behind its symbol. */
	for (uint64_t address = 0; address < 0x4000; address += 0x7ff) {
		const char *name = symbols_lookup(symbols, address, &offset_bytes);

		if (name)
			g_assert_cmpuint(strlen(name) + offset_bytes, <, UINT64_MAX / 2);
	}
	symbols_free(symbols);
	return true;
}

static void damage(const uint8_t *bytes, size_t len_bytes)
{
	unsigned int n_accepted = 0, n_refused = 0;

	for (size_t i = 0; i <= len_bytes; i++)
		n_refused += !try_bytes(bytes, i);
	g_assert_cmpuint(n_refused, >, 0);
	n_refused = 0;
	for (unsigned int i = 0; i < MUTATIONS; i++) {
		g_autofree uint8_t *changed = g_memdup2(bytes, len_bytes);

		for (int n = g_test_rand_int_range(1, 6); n > 0; n--)
			changed[g_test_rand_int_range(0, (int)len_bytes)] = (uint8_t)g_test_rand_int_range(0, 256);
		if (try_bytes(changed, len_bytes))
			n_accepted++;
		else
			n_refused++;
	}
	g_assert_cmpuint(n_accepted, >, 0);
}

static void test_damaged_map(void)
{
	damage((const uint8_t *)map_text, strlen(map_text));
}

static void test_damaged_elf(void)
{
	struct image image;

	make_elf(&image);
	damage((const uint8_t *)&image, sizeof(image));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/symbols/system-map", test_system_map);
	g_test_add_func("/symbols/elf", test_elf);
	g_test_add_func("/symbols/damaged-map", test_damaged_map);
	g_test_add_func("/symbols/damaged-elf", test_damaged_elf);
	return g_test_run();
}
