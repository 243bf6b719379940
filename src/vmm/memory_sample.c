// SPDX-License-Identifier: MIT
#include "vmm/memory_sample.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vmm/record.h"

/* Of each mapping VmFlags comes last. syscalls(main): lseek read fstat newfstatat */
static uint64_t private_kib(FILE *smaps)
{
	uint64_t sum_kib = 0, dirty_kib = 0;
	char line[512];

	rewind(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "Private_Dirty: %" SCNu64, &dirty_kib) == 1 || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		if (!strstr(line, " dd"))
			sum_kib += dirty_kib;
		dirty_kib = 0;
	}
	return sum_kib;
}

void memory_sample(struct record *record, FILE *smaps)
{
	uint64_t kib = private_kib(smaps);
	uint32_t n_events = atomic_load(&record->n_events);

	if (n_events > RECORD_MAX_EVENTS)
		n_events = RECORD_MAX_EVENTS;
	for (uint32_t i = 0; i < n_events; i++)
		if (record->events[i].phase != 0 && record->events[i].private_kib == 0)
			record->events[i].private_kib = kib;
	if (kib > atomic_load(&record->peak_private_kib))
		atomic_store(&record->peak_private_kib, kib);
}
