// SPDX-License-Identifier: MIT
/* What the harness wants to know from the record of a run that is over. */
#pragma once

#include "vmm/record.h"

struct run_record {
	enum outcome outcome; /* NONE: no machine came to run */
	int guest_status;     /* -1: the guest did not say */
	char *detail;         /* a guest's words may be in it; NULL: none */
};

/* As little is believed as vmm/report.h does: the machine that wrote it may have been its guest's. */
void run_record_read(struct run_record *run, const struct record *record);
void run_record_clear(struct run_record *run);
