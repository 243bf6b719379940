// SPDX-License-Identifier: MIT
/* The report of a run, as JSON; docs/report.md describes it. */
#pragma once

#include <glib.h>

struct machine_setup;
struct launcher_end;
struct symbols;

/* Writes the report to fd. DOM1_STATUS_USAGE when it cannot be written (a full disk); path is for the message. */
gboolean report_write(int fd, const char *path, const struct machine_setup *setup, const struct launcher_end *end,
		      const struct symbols *symbols, GError **error);
