// SPDX-License-Identifier: MIT
#include "vmm/symbols.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/error.h"
#include "vmm/mapped_file.h"

#define MAX_DISTANCE_BYTES (UINT64_C(1) << 20)

struct symbol {
	uint64_t address;
	const char *name; /* in the arena */
};

struct symbols {
	GArray *table; /* struct symbol, sorted by address */
	GStringChunk *arena;
};

static void add(struct symbols *symbols, uint64_t address, const char *name, size_t len_bytes)
{
	struct symbol symbol = { address, g_string_chunk_insert_len(symbols->arena, name, (gssize)len_bytes) };

	g_array_append_val(symbols->table, symbol);
}

/* A name goes to a terminal: it ends before the first byte that is not printable. */
static size_t name_bytes(const char *name, const char *line_end)
{
	size_t len_bytes = 0;

	while (name + len_bytes < line_end && g_ascii_isgraph(name[len_bytes]))
		len_bytes++;
	return len_bytes;
}

/* Lines of "address type name"; data symbols are left out, and so is what /proc/kallsyms says behind the name. */
static void parse_system_map(struct symbols *symbols, const char *text, size_t len_bytes)
{
	const char *end = text + len_bytes;

	while (text < end) {
		const char *line_end = memchr(text, '\n', (size_t)(end - text));
		char address_text[17];
		uint64_t address;

		if (!line_end)
			line_end = end;
		/* 16 digits, a type between two spaces, a name. */
		if (line_end - text > 19 && text[16] == ' ' && text[18] == ' ' && strchr("tTwW", text[17])) {
			memcpy(address_text, text, 16);
			address_text[16] = '\0';
			if (g_ascii_string_to_unsigned(address_text, 16, 1, G_MAXUINT64, &address, NULL))
				add(symbols, address, text + 19, name_bytes(text + 19, line_end));
		}
		text = line_end + 1;
	}
}

static void parse_symbol_table(struct symbols *symbols, const uint8_t *bytes, size_t len_bytes, const Elf64_Shdr *table,
			       const Elf64_Shdr *strings)
{
	if (table->sh_offset > len_bytes || table->sh_size > len_bytes - table->sh_offset ||
	    strings->sh_offset > len_bytes || strings->sh_size > len_bytes - strings->sh_offset)
		return;
	for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, bytes + table->sh_offset + at, sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_value == 0 || symbol.st_name >= strings->sh_size)
			continue;
		const char *name = (const char *)bytes + strings->sh_offset + symbol.st_name;
		add(symbols, symbol.st_value, name, name_bytes(name, name + (strings->sh_size - symbol.st_name)));
	}
}

static void parse_elf(struct symbols *symbols, const uint8_t *bytes, size_t len_bytes)
{
	Elf64_Ehdr header;

	if (len_bytes < sizeof(header))
		return;
	memcpy(&header, bytes, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr) ||
	    header.e_shoff > len_bytes || (uint64_t)header.e_shnum * sizeof(Elf64_Shdr) > len_bytes - header.e_shoff)
		return;
	for (unsigned int i = 0; i < header.e_shnum; i++) {
		Elf64_Shdr table, strings;

		memcpy(&table, bytes + header.e_shoff + i * sizeof(table), sizeof(table));
		if (table.sh_type != SHT_SYMTAB || table.sh_link >= header.e_shnum)
			continue;
		memcpy(&strings, bytes + header.e_shoff + table.sh_link * sizeof(strings), sizeof(strings));
		parse_symbol_table(symbols, bytes, len_bytes, &table, &strings);
	}
}

static gint compare(gconstpointer a, gconstpointer b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

struct symbols *symbols_parse(const uint8_t *bytes, size_t len_bytes, const char *name, GError **error)
{
	struct symbols *symbols = g_new0(struct symbols, 1);

	symbols->table = g_array_new(FALSE, FALSE, sizeof(struct symbol));
	symbols->arena = g_string_chunk_new(64 * 1024);
	if (len_bytes >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0)
		parse_elf(symbols, bytes, len_bytes);
	else
		parse_system_map(symbols, (const char *)bytes, len_bytes);
	if (symbols->table->len > 0) {
		g_array_sort(symbols->table, compare);
		return symbols;
	}
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: no symbols in it: give the System.map, the unstripped vmlinux, or a copy of the guest's /proc/kallsyms",
		    name);
	symbols_free(symbols);
	return NULL;
}

struct symbols *symbols_open(const char *path, GError **error)
{
	struct mapped_file file;

	if (!mapped_file_open(&file, path, "symbol file", error))
		return NULL;
	struct symbols *symbols = symbols_parse(file.bytes, file.len_bytes, path, error);
	mapped_file_close(&file);
	return symbols;
}

void symbols_free(struct symbols *symbols)
{
	if (!symbols)
		return;
	g_array_free(symbols->table, TRUE);
	g_string_chunk_free(symbols->arena);
	g_free(symbols);
}

const char *symbols_lookup(const struct symbols *symbols, uint64_t address, uint64_t *offset_bytes)
{
	guint low = 0, high = symbols ? symbols->table->len : 0;

	/* The first one behind the address. */
	while (low < high) {
		guint middle = low + (high - low) / 2;

		if (g_array_index(symbols->table, struct symbol, middle).address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	const struct symbol *symbol = &g_array_index(symbols->table, struct symbol, low - 1);
	*offset_bytes = address - symbol->address;
	return *offset_bytes < MAX_DISTANCE_BYTES ? symbol->name : NULL;
}
