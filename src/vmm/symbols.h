// SPDX-License-Identifier: MIT
/*
 * Names for addresses of a guest's kernel: from its System.map (a copy of its /proc/kallsyms is one too), or from the
 * symbol table of its vmlinux. Pure, but for
 * what symbols_open() reads.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

struct symbols;

/* DOM1_STATUS_FILE: missing, or neither a System.map nor an ELF with symbols. */
struct symbols *symbols_open(const char *path, GError **error);
/* The same from bytes that are copied; name is for messages. */
struct symbols *symbols_parse(const uint8_t *bytes, size_t len_bytes, const char *name, GError **error);
void symbols_free(struct symbols *symbols);

/*
 * The symbol at or before the address, and how far behind it the address lies; NULL when there is none within
 * 1 MiB, or symbols is NULL. Valid until symbols_free().
 */
const char *symbols_lookup(const struct symbols *symbols, uint64_t address, uint64_t *offset_bytes);
