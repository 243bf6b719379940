// SPDX-License-Identifier: MIT
/*
 * How much memory the machine process has to itself: Private_Dirty of its mappings, guest memory left out.
 * Source: /proc/self/smaps. Thread: the main thread.
 */
#pragma once

#include <stdio.h>

struct guest_memory;
struct record;

/* Writes the figure to the events that have none yet, and raises the peak. */
void memory_sample(struct record *record, const struct guest_memory *memory, FILE *smaps);
