// SPDX-License-Identifier: MIT
/*
 * What a guest finds in the xenstore when it boots: what a toolstack writes. Paths and rights as libxl has them.
 */
#pragma once

#include <stdint.h>

struct xenstore;

struct store_contents {
	const char *name;
	const char *uuid; /* 36 characters */
	uint64_t generation_id[2]; /* random: of this run of the guest's memory, as Microsoft's Virtual Machine Generation ID */
	uint64_t memory_kib;
	unsigned int n_vcpus;
	uint64_t console_gfn, xenstore_gfn;
	uint32_t console_port, xenstore_port;
};

/* 0 or a positive errno. */
int store_contents_write(struct xenstore *store, const struct store_contents *contents);

/*
 * A saved guest's store becomes that of another domain, which has its name, uuid and generation_id of contents. What the guest watches
 * among that fires. 0 or a positive errno.
 */
int store_contents_rename(struct xenstore *store, const char *old_uuid, const struct store_contents *contents);
