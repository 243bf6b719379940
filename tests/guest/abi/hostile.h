/* SPDX-License-Identifier: MIT */
/* What the files of the guest that storms share. */
#pragma once

#include <stdint.h>

uint32_t hostile_any(void); /* a number of chance */

/* test_hostile_vcpus.c: a round each. */
void storm_placed(void);
void storm_resets(void);
