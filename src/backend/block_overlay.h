// SPDX-License-Identifier: MIT
/*
 * Which sectors of a disk were written since it was opened, as a pure core: those lie in an overlay file, the others in
 * the base, which stays as it is. By sectors and not by larger blocks, so that a small write needs nothing from the base.
 *
 * One bit a sector, in leaves of 16 MiB of disk that exist when something in them was written: 256 bytes for each
 * megabyte written, at most. A leaf that is wholly written by one discard costs nothing.
 *
 * Thread: one at a time, the I/O thread's in the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct block_overlay;

/* NULL: memory is out. */
struct block_overlay *block_overlay_new(uint64_t n_sectors);
void block_overlay_free(struct block_overlay *overlay);

/* How many of n_sectors from sector on lie where the first does; *written: in the overlay. The range is on the disk. */
uint64_t block_overlay_run(const struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors, bool *written);

/*
 * Memory for mark() of the range, so that what was written can be remembered. at_once: mark() will be called for all of it,
 * not for a part. FALSE: memory is out.
 */
bool block_overlay_reserve(struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors, bool at_once);
/* They lie in the overlay from now on. They were reserved. */
void block_overlay_mark(struct block_overlay *overlay, uint64_t sector, uint64_t n_sectors);
