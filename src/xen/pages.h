// SPDX-License-Identifier: MIT
/*
 * The pages that belong to the hypervisor and that a guest places into its memory: shared_info, and the frames and status
 * frames of the grant table. They lie in one memfd: mapped here for good, and shown to the guest at the gfn it names,
 * by aliasing.
 *
 * Each is shown at one gfn at most; naming another one moves it, as in Xen. KVM gets shared_info by its address in
 * our mapping, so that events are kept from the first moment, wherever the guest puts the page.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct guest_memory;

#define PAGES_MAX_GRANT_FRAMES  64u
#define PAGES_MAX_STATUS_FRAMES 8u /* of version 2: two bytes for each of a grant frame's 256 entries */
#define PAGES_MAX               (1u + PAGES_MAX_GRANT_FRAMES + PAGES_MAX_STATUS_FRAMES)
#define PAGES_NOWHERE           UINT64_MAX

struct pages {
	int memfd;
	uint8_t *hva; /* page 0 is shared_info, grant frame i is page 1 + i, then come the status frames */
	unsigned int n_grant_frames; /* the most the guest may have */
	unsigned int used_grant_frames; /* the highest placed so far, plus 1 */
	uint64_t gfn[PAGES_MAX];
};

gboolean pages_init(struct pages *pages, unsigned int n_grant_frames, GError **error);
void pages_fini(struct pages *pages);

void *pages_shared_info(const struct pages *pages);
void *pages_grant_frames(const struct pages *pages);
void *pages_status_frames(const struct pages *pages);

/* How many there are in all: shared_info, n_grant_frames, and their status frames. They lie at hva, one after the other. */
unsigned int pages_number(unsigned int n_grant_frames);

/* The n-th of them is shown at gfn from now on; what it was before that comes from elsewhere. 0 or a positive errno. */
int pages_show(struct pages *pages, struct guest_memory *memory, unsigned int page, uint64_t gfn);

/* Where a page is shown; PAGES_NOWHERE. */
uint64_t pages_grant_frame_gfn(const struct pages *pages, unsigned int frame);

/* 0 or a positive errno of the host: EINVAL for a frame or gfn that cannot be. */
int pages_place_shared_info(struct pages *pages, struct guest_memory *memory, uint64_t gfn);
int pages_place_grant_frame(struct pages *pages, struct guest_memory *memory, unsigned int frame, uint64_t gfn);
int pages_place_status_frame(struct pages *pages, struct guest_memory *memory, unsigned int frame, uint64_t gfn);

/* The page that is shown at gfn, at an address that stays when it is shown elsewhere. NULL: none is. */
void *pages_at(const struct pages *pages, uint64_t gfn);

/* All are shown nowhere, and zero. */
void pages_reset(struct pages *pages, struct guest_memory *memory);

/* The page shown at gfn is shown nowhere. ENOENT: there is none. */
int pages_remove(struct pages *pages, struct guest_memory *memory, uint64_t gfn);
