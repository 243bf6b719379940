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

void shim_log_init(struct shim_log *log, int fd)
{
	*log = (struct shim_log){ .fd = fd };
	pthread_mutex_init(&log->lock, NULL);
}

/* syscalls(vcpu, main): write */
static void write_all(int fd, const char *text, size_t len_bytes)
{
	while (len_bytes > 0) {
		ssize_t written = write(fd, text, len_bytes);

		if (written < 0 && errno == EINTR)
			continue;
		/* A full disk costs the log, not the guest. */
		if (written <= 0)
			return;
		text += written;
		len_bytes -= (size_t)written;
	}
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

void shim_log_write(struct shim_log *log, struct vm *vm, const char *text, size_t len_bytes)
{
	pthread_mutex_lock(&log->lock);
	evidence_tail_add(&vm->record->evidence.shim, text, (uint32_t)len_bytes);
	if (log->fd >= 0)
		write_all(log->fd, text, len_bytes);
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
