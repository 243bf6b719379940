// SPDX-License-Identifier: MIT
/*
 * The initramfs of a guest of dom1 exec: init (init.c), the command, and what the guest's root shall hold besides. Written
 * by libarchive, as a cpio archive without compression: it is made, mapped and unpacked once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Of modules. */
#define EXEC_ROOT_MODULES_MAX 100u

struct exec_root {
	const char *folder;  /* all of it is the root; NULL: not so */
	const char *program; /* a file that stands at the same path in the root; NULL: none */
	char **modules;      /* files of drivers, in their order; NULL at the end. NULL: none */
	const char *cwd;     /* of the command, in the guest */
	char **command;      /* NULL at the end */
};

/* A descriptor of a file without a name. *payload_bytes: of the files in it. -1: DOM1_STATUS_FILE, DOM1_STATUS_HOST. */
int exec_root_pack(const struct exec_root *root, uint64_t *payload_bytes, GError **error);
