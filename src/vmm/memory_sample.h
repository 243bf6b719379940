// SPDX-License-Identifier: MIT
/*
 * How much memory the machine process has to itself: Private_Dirty of its mappings, guest memory left out, which is
 * known by MADV_DONTDUMP: it may be anywhere while it is being made, or taken down.
 * Source: /proc/self/smaps; Linux, Documentation/filesystems/proc.rst, VmFlags "dd". Thread: the main thread.
 */
#pragma once

#include <stdio.h>

struct record;

/* Writes the figure to the events that have none yet, and raises the peak. */
void memory_sample(struct record *record, FILE *smaps);
