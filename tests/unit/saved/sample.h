// SPDX-License-Identifier: MIT
/* A saved domain that no machine has written: small, with something of everything in it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "saved/image.h"

/* The payload of each section; those of a kind that is not there are one empty array. */
struct sample {
	GByteArray *sections[SAVED_N_KINDS];
	uint64_t memory_bytes, disk_bytes;
};

void sample_init(struct sample *sample);
void sample_clear(struct sample *sample);
/* All but memory and what was written to disks, with sums that are right whatever the sections are. file_bytes: with memory. */
GByteArray *sample_file(const struct sample *sample, uint64_t *file_bytes);
