// SPDX-License-Identifier: MIT
/* A disk of the machine's; shared by machine_disks.c and machine_save_disks.c. */
#pragma once

#include "backend/block_file.h"

struct block_device;

struct machine_disk {
	struct block_file *file;
	struct block_file own;       /* of one that came later */
	struct block_device *device; /* NULL: between two starts of the domain */
	bool leaving, ejected;
};
