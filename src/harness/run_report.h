// SPDX-License-Identifier: MIT
/* What the harness wants to know from the report of dom1 run (docs/report.md). */
#pragma once

#include "vmm/record.h"

struct run_report {
	enum outcome outcome; /* NONE: there is no report */
	int guest_status;     /* -1: the guest did not say */
	char *detail;         /* NULL: none */
};

void run_report_read(struct run_report *report, int fd);
void run_report_clear(struct run_report *report);
