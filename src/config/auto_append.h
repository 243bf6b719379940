// SPDX-License-Identifier: MIT
/*
 * What dom1 adds to a Linux guest's command line by itself: larger limits for its block driver, which are Linux's own to
 * choose (drivers/block/xen-blkfront.c). In front of the person's words, so that those win, and nothing comes behind a
 * "--" that is there for init.
 *
 *   max_indirect_segments=256   requests of up to 1 MiB instead of 128 KiB: what dom1's disks offer
 *   max_ring_page_order=2       128 requests in flight for each queue instead of 32. A larger order would be taken too, but
 *                               Linux sets 10 KiB aside for each request
 *   max_queues=8                with more vCPUs than Linux's 4 queues
 */
#pragma once

/* own: the person's. g_free(). */
char *auto_append_disk_words(const char *own, unsigned int n_vcpus);
