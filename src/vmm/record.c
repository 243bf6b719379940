// SPDX-License-Identifier: MIT
#include "vmm/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <glib.h>

const char *const PHASE_NAMES[N_PHASES] = {
	[PHASE_EXEC] = "exec",
	[PHASE_VM_CREATED] = "vm_created",
	[PHASE_VCPU_RUN] = "vcpu_run",
	[PHASE_FIRST_HYPERCALL] = "first_hypercall",
	[PHASE_SHIM_BANNER] = "shim_banner",
	[PHASE_DOMAIN_BUILT] = "domain_built",
	[PHASE_KERNEL_ENTERED] = "kernel_entered",
	[PHASE_FIRST_CONSOLE_BYTE] = "first_console_byte",
	[PHASE_FIRST_XENSTORE] = "first_xenstore",
	[PHASE_DEVICE_CONNECTED] = "device_connected",
	[PHASE_MARK] = "mark",
	[PHASE_SHUTDOWN] = "shutdown",
	[PHASE_EXIT] = "exit",
};

const char *const OUTCOME_NAMES[N_OUTCOMES] = {
	[OUTCOME_NONE] = "host-error", /* the machine ended and told nobody why */
	[OUTCOME_POWEROFF] = "poweroff",
	[OUTCOME_REBOOT] = "reboot",
	[OUTCOME_CRASH] = "crash",
	[OUTCOME_SHIM_CRASH] = "shim-crash",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_DESTROYED] = "destroyed",
	[OUTCOME_SAVED] = "saved",
	[OUTCOME_HOST_ERROR] = "host-error",
};

const char *const EXIT_KIND_NAMES[N_EXIT_KINDS] = {
	[EXIT_XEN] = "xen",
	[EXIT_IO] = "io",
	[EXIT_MMIO] = "mmio",
	[EXIT_INTERRUPTED] = "interrupted",
	[EXIT_OTHER] = "other",
};

struct record *record_new(uint64_t exec_ns)
{
	struct record *record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (record == MAP_FAILED)
		return NULL;
	record->exec_ns = exec_ns;
	record->phase_fd = -1;
	return record;
}

void record_free(struct record *record)
{
	if (record)
		munmap(record, sizeof(*record));
}

/* syscalls(all): clock_gettime */
uint64_t record_now_ns(const struct record *record)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - record->exec_ns;
}

bool record_phase_seen(const struct record *record, enum phase phase)
{
	return atomic_load_explicit(&record->phases_seen, memory_order_relaxed) & UINT32_C(1) << phase;
}

/* syscalls(all): write */
void record_phase(struct record *record, enum phase phase, const char *text)
{
	if (phase != PHASE_DEVICE_CONNECTED && phase != PHASE_MARK &&
	    atomic_fetch_or(&record->phases_seen, UINT32_C(1) << phase) & UINT32_C(1) << phase)
		return;

	/* A guest may mark without end: the counter stops far before it could wrap. */
	uint32_t slot = atomic_load(&record->n_events);
	while (slot < UINT32_MAX / 2 && !atomic_compare_exchange_weak(&record->n_events, &slot, slot + 1))
		;
	/* The last two places are kept for the end of the story. */
	if (slot >= RECORD_MAX_EVENTS - 2) {
		if (phase != PHASE_EXIT && phase != PHASE_SHUTDOWN)
			return;
		slot = phase == PHASE_EXIT ? RECORD_MAX_EVENTS - 1 : RECORD_MAX_EVENTS - 2;
	}

	struct record_event *event = &record->events[slot];
	event->t_ns = phase == PHASE_EXEC ? 0 : record_now_ns(record);
	event->generation = atomic_load(&record->generation);
	snprintf(event->text, sizeof(event->text), "%s", text ? text : "");
	/* Last: a reader takes an event only when its phase is set. EXEC is 0, hence the offset. */
	atomic_thread_fence(memory_order_release);
	event->phase = (uint32_t)phase + 1;
	if (record->phase_fd >= 0) {
		const uint64_t one = 1;
		ssize_t written = write(record->phase_fd, &one, sizeof(one));
		(void)written;
	}
}

bool record_end(struct record *record, enum outcome outcome, uint32_t status, const char *format, ...)
{
	uint32_t none = OUTCOME_NONE;

	if (!atomic_compare_exchange_strong(&record->outcome, &none, (uint32_t)outcome))
		return false;
	atomic_store(&record->status, status);
	record->detail[0] = '\0';
	if (format) {
		va_list arguments;

		va_start(arguments, format);
		vsnprintf(record->detail, sizeof(record->detail), format, arguments);
		va_end(arguments);
	}
	atomic_store(&record->detail_ready, 1);
	return true;
}

enum outcome record_outcome(const struct record *record)
{
	const uint32_t outcome = atomic_load(&record->outcome);

	return outcome < N_OUTCOMES ? (enum outcome)outcome : OUTCOME_HOST_ERROR;
}

char *record_detail(const struct record *record)
{
	return atomic_load(&record->detail_ready) && record->detail[0] != '\0' ? g_strndup(record->detail, sizeof(record->detail) - 1) :
										 NULL;
}

void record_forget_end(struct record *record)
{
	atomic_store(&record->detail_ready, 0);
	atomic_store(&record->evidence.collected, 0);
	atomic_store(&record->outcome, OUTCOME_NONE);
}

void record_restart(struct record *record)
{
	atomic_store(&record->phases_seen, UINT32_C(1) << PHASE_EXEC);
	atomic_fetch_add(&record->generation, 1);
	record_forget_end(record);
}
