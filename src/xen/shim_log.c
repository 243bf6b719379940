// SPDX-License-Identifier: MIT
#include "xen/shim_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/vm.h"
#include "vmm/write_whole.h"

void shim_log_init(struct shim_log *log, int fd)
{
	*log = (struct shim_log){ .fd = fd };
	pthread_mutex_init(&log->lock, NULL);
}

/* What a PV guest writes to the hypervisor's console is in the shim's log too: "(d1) text", by guest_printk(). */
static bool is_shims(const char *line)
{
	return strncmp(line, "(d", 2) != 0;
}

static void read_line(struct shim_log *log, struct vm *vm)
{
	const char *line = log->line;
	const char *used = strstr(line, "shim used pages ");
	uint64_t used_pages, free_pages;

	if (!vm->has_shim || !is_shims(line))
		return;
	if (log->panicking && line[0] != '\0' && line[strspn(line, "(XEN)* ")] != '\0') {
		vm_end(vm, OUTCOME_SHIM_CRASH, 0, "the shim crashed: %s", line);
		log->panicking = false;
	} else if (strstr(line, "Panic on CPU")) {
		log->panicking = true;
	} else if (strstr(line, "FATAL TRAP")) {
		vm_end(vm, OUTCOME_SHIM_CRASH, 0, "the shim crashed: %s", line);
	} else if (used && sscanf(used, "shim used pages 0x%" SCNx64 " reserving 0x%" SCNx64, &used_pages, &free_pages) == 2) {
		atomic_store(&log->shim_pages, used_pages + free_pages);
	} else if (strstr(line, "Xen version ")) {
		record_phase(vm->record, PHASE_SHIM_BANNER, NULL);
	} else if (strstr(line, "Scrubbing Free RAM")) {
		record_phase(vm->record, PHASE_DOMAIN_BUILT, NULL);
	}
}

/* syscalls(vcpu, main): write */
void shim_log_write(struct shim_log *log, struct vm *vm, const char *text, size_t len_bytes)
{
	pthread_mutex_lock(&log->lock);
	evidence_tail_add(&vm->record->evidence.shim, text, (uint32_t)len_bytes);
	if (log->fd >= 0)
		/* A full disk costs the log, not the guest. */
		(void)write_whole(log->fd, text, len_bytes);
	for (size_t i = 0; i < len_bytes; i++) {
		if (text[i] == '\n') {
			log->line[log->line_bytes] = '\0';
			read_line(log, vm);
			log->line_bytes = 0;
		} else if (text[i] != '\r' && text[i] != '\0' && log->line_bytes < sizeof(log->line) - 1) {
			log->line[log->line_bytes++] = text[i];
		}
	}
	pthread_mutex_unlock(&log->lock);
}
