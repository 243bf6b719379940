// SPDX-License-Identifier: MIT
/* What the host's kernel tells of the device that a disk's image lies on. Any thread. */
#pragma once

#include <sys/types.h>

#define BLOCK_HOST_DEVICES "/sys/dev/block"

/*
 * How many segments (pages) of a request the device takes in one piece, of those that a request may have: from 11, which
 * need no indirect pages, to BLOCK_SEGMENTS_MAX. What is not known does not limit. folder: BLOCK_HOST_DEVICES.
 */
unsigned int block_host_segments_max(const char *folder, dev_t device);
