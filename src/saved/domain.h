// SPDX-License-Identifier: MIT
/* What a saved domain is: its machine, and its clock. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "saved/bytes.h"

struct layout;

/* The places that a restored domain must find where they were. */
struct saved_layout {
	uint64_t low_ram_top_gpa, console_gpa, xenstore_gpa, special_end_gpa, low_window_end_gpa, high_ram_top_gpa, overlay_gpa,
		overlay_end_gpa;
};

struct saved_domain {
	char *name, *uuid, *kernel; /* kernel: for a person */
	bool has_shim;
	bool is_paused; /* and stays so */
	uint64_t saved_s; /* since 1970 */
	uint64_t memory_bytes, low_memory_bytes;
	uint32_t n_vcpus, max_vcpus;
	uint32_t max_event_channels, max_grant_frames;
	uint32_t xen_version;
	struct saved_layout layout;
};

void saved_domain_write(GByteArray *to, const struct saved_domain *domain);
/* FALSE: it is damaged. All numbers are in the ranges that dom1 run takes. *domain is to be cleared in either case. */
bool saved_domain_read(struct saved_domain *domain, struct saved_cursor from);
void saved_domain_clear(struct saved_domain *domain);

struct saved_layout saved_layout_of(const struct layout *layout);
bool saved_layout_fits(const struct saved_layout *saved, const struct layout *layout);

/*
 * All clocks at one moment. A guest's TSC is the host's plus the vCPU's offset (saved/vcpu.h); Xen's system time is clock_ns.
 */
struct saved_clock {
	uint64_t clock_ns;
	uint64_t host_tsc;
	uint32_t tsc_khz;
};

void saved_clock_write(GByteArray *to, const struct saved_clock *clock);
bool saved_clock_read(struct saved_clock *clock, struct saved_cursor from);

/* Of the two rings that each guest has; what is in them is in memory. */
struct saved_rings {
	bool console_holds_input;  /* until the guest has written something */
	bool xenstore_had_request; /* what is written before the first one has been */
	bool xenstore_is_broken;   /* until the guest connects again */
};

void saved_rings_write(GByteArray *to, const struct saved_rings *rings);
bool saved_rings_read(struct saved_rings *rings, struct saved_cursor from);

/* Of memory in the file: up to the end of what is backed. */
uint64_t saved_memory_bytes(const struct layout *layout);
