// SPDX-License-Identifier: MIT
#include "vmm/memory_sample.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/guest_memory.h"
#include "vmm/record.h"

/* syscalls(main): lseek read fstat newfstatat */
static uint64_t private_kib(const struct guest_memory *memory, FILE *smaps)
{
	uintptr_t guest_start, guest_end;
	uint64_t sum_kib = 0;
	bool counts = false;
	char line[512];

	rewind(smaps);
	guest_memory_extent(memory, &guest_start, &guest_end);
	while (fgets(line, sizeof(line), smaps)) {
		uintptr_t start, end;
		uint64_t kib;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			counts = end <= guest_start || start >= guest_end;
		else if (counts && sscanf(line, "Private_Dirty: %" SCNu64, &kib) == 1)
			sum_kib += kib;
	}
	return sum_kib;
}

void memory_sample(struct record *record, const struct guest_memory *memory, FILE *smaps)
{
	uint64_t kib = private_kib(memory, smaps);
	uint32_t n_events = atomic_load(&record->n_events);

	if (n_events > RECORD_MAX_EVENTS)
		n_events = RECORD_MAX_EVENTS;
	for (uint32_t i = 0; i < n_events; i++)
		if (record->events[i].phase != 0 && record->events[i].private_kib == 0)
			record->events[i].private_kib = kib;
	if (kib > atomic_load(&record->peak_private_kib))
		atomic_store(&record->peak_private_kib, kib);
}
