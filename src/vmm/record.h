// SPDX-License-Identifier: MIT
/*
 * What happened in a run, in a page that launcher and machine share.
 *
 * The machine writes, the launcher reads when the machine is gone: so the report is whole even after SIGKILL. The
 * launcher trusts nothing in it: it copies a value once, and clamps it to its range.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "inject/inject.h"
#include "vmm/evidence.h"

#define RECORD_MAX_VCPUS 32

enum phase {
	PHASE_EXEC,
	PHASE_VM_CREATED,
	PHASE_VCPU_RUN,
	PHASE_FIRST_HYPERCALL,
	PHASE_SHIM_BANNER,
	PHASE_DOMAIN_BUILT,
	PHASE_KERNEL_ENTERED,
	PHASE_FIRST_CONSOLE_BYTE,
	PHASE_FIRST_XENSTORE,
	PHASE_DEVICE_CONNECTED, /* with the path */
	PHASE_MARK,             /* with the text */
	PHASE_SHUTDOWN,
	PHASE_EXIT,
	N_PHASES,
};

enum outcome {
	OUTCOME_NONE,
	OUTCOME_POWEROFF,
	OUTCOME_REBOOT,
	OUTCOME_CRASH,
	OUTCOME_SHIM_CRASH,
	OUTCOME_TIMEOUT,
	OUTCOME_DESTROYED,
	OUTCOME_SAVED, /* into a file, from which it may go on */
	OUTCOME_HOST_ERROR,
	N_OUTCOMES,
};

enum exit_kind { EXIT_XEN, EXIT_IO, EXIT_MMIO, EXIT_INTERRUPTED, EXIT_OTHER, N_EXIT_KINDS };

#define RECORD_MAX_EVENTS 128
#define RECORD_TEXT_BYTES 104
#define RECORD_N_HYPERCALLS 64

struct record_event {
	uint64_t t_ns; /* CLOCK_MONOTONIC since exec */
	uint64_t private_kib; /* 0: not sampled */
	uint32_t phase; /* enum phase + 1; 0: not written yet */
	uint32_t generation; /* which start of the machine: 0, then one more for each restart */
	char text[RECORD_TEXT_BYTES];
};

struct record {
	uint64_t exec_ns; /* CLOCK_MONOTONIC at exec */
	int phase_fd;     /* the machine's eventfd, told of each phase; -1: nobody wants to know */
	_Atomic uint32_t outcome; /* enum outcome: the first one wins */
	_Atomic uint32_t status;  /* of OUTCOME_HOST_ERROR: enum dom1_status */
	char detail[512];         /* one line for the person, written once by who set the outcome */
	_Atomic uint32_t detail_ready;
	_Atomic uint32_t generation;
	_Atomic uint32_t n_events; /* taken; may run past RECORD_MAX_EVENTS, what did not fit is counted, not kept */
	_Atomic uint32_t phases_seen; /* bit per phase, of this generation */
	_Atomic uint64_t exits[N_EXIT_KINDS];
	_Atomic uint64_t hypercalls[RECORD_N_HYPERCALLS];
	_Atomic uint64_t peak_private_kib;
	_Atomic bool direct_map_removed; /* guest RAM is not in the host kernel's direct map */
	_Atomic uint64_t injected[INJECT_N_EFFECTS]; /* faults on purpose */
	_Atomic uint32_t sandbox_layers; /* bit per enum sandbox_layer: those that hold */
	struct record_event events[RECORD_MAX_EVENTS];
	struct evidence evidence;
};

extern const char *const PHASE_NAMES[N_PHASES];
extern const char *const OUTCOME_NAMES[N_OUTCOMES];
extern const char *const EXIT_KIND_NAMES[N_EXIT_KINDS];

/* A shared, zeroed record that a fork inherits; NULL when memory is out. Where it is dom1's own it lives as long. */
struct record *record_new(uint64_t exec_ns);
/* For the caller alone: forks that have it keep it. NULL is fine. */
void record_free(struct record *record);

uint64_t record_now_ns(const struct record *record);

/* Marks a phase. Those but DEVICE_CONNECTED and MARK count once a generation. Any thread; text may be NULL. */
void record_phase(struct record *record, enum phase phase, const char *text);
bool record_phase_seen(const struct record *record, enum phase phase);

/* Sets how it ended unless that is known already; printf-like detail may be NULL. TRUE for the one who set it. */
bool record_end(struct record *record, enum outcome outcome, uint32_t status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* How it ended: what is no outcome is HOST_ERROR. */
enum outcome record_outcome(const struct record *record);
/* A copy of the detail, in which a guest's words may be; NULL: none was written to its end. g_free() */
char *record_detail(const struct record *record);

/* It was not the end: of a machine that would have started again, and was killed before. */
void record_forget_end(struct record *record);
/* A restart: forgets the outcome and the phases seen, keeps events and counters. */
void record_restart(struct record *record);

static inline void record_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
