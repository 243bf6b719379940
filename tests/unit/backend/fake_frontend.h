// SPDX-License-Identifier: MIT
/*
 * A front end of a disk in this process, true or not.
 */
#pragma once

#include "backend/block.h"
#include "backend/block_file.h"
#include "backend/fake_guest.h"

#define FAKE_DISK_SECTORS 4096u

struct fake {
	struct fake_guest guest;
	struct block_file file;
	struct block_env env;
	struct block_device *device; /* NULL: it has left */
	char *path;
	char *ended; /* what env.end() was told */
	unsigned int n_ejected;
	char *no_room; /* what env.no_room() was told last */

	/* The queue in use. */
	uint8_t *ring[BLOCK_RING_PAGES_MAX];
	uint32_t ring_ref[BLOCK_RING_PAGES_MAX];
	unsigned int ring_pages, n_slots;
	uint32_t port;
	uint32_t produced, consumed;
	const struct block_layout *layout;
};

/* use_uring: where the host allows it. The disk is a file of FAKE_DISK_SECTORS, sector n full of the byte n * 7. */
struct fake *fake_new(bool use_uring, bool read_only);
struct fake *fake_new_patient(bool use_uring);  /* on-error=enospc-pause */
struct fake *fake_new_snapshot(bool use_uring); /* the same disk, written to an overlay or a clone */
struct fake *fake_new_adopted(bool use_uring);  /* such a one whose files were opened by somebody else */
struct fake *fake_new_qcow2(bool use_uring, bool snapshot); /* such an image, through a qemu-nbd */
struct fake *fake_new_adopted_qcow2(bool use_uring); /* with a snapshot, its connection opened by somebody else */
void fake_run_tool(const char *const *words); /* it ends with status 0 */
void fake_free(struct fake *fake);

/* Rings of 2^order pages, all nodes, state Initialised, and the answer. */
void fake_make_ring(struct fake *fake, unsigned int order);
void fake_publish_ring(struct fake *fake, const char *folder);
void fake_connect(struct fake *fake, unsigned int order);
void fake_disconnect(struct fake *fake); /* Closing, Closed, Initialising */

/* One slot: what is not given is zero. */
struct fake_request {
	uint8_t operation, n_segments;
	uint64_t id, sector, n_sectors;
	struct {
		uint32_t ref;
		uint8_t first, last;
	} segment[11];
	/* Of an indirect one. */
	bool indirect;
	uint8_t indirect_op;
	uint16_t n_indirect;
	uint32_t indirect_ref[8];
};
void fake_put(struct fake *fake, const struct fake_request *request); /* not yet seen by the other side */
void fake_kick(struct fake *fake);                                    /* now it is */
/* Waits for an answer; its status. id and operation are compared with the oldest unless they are NULL. */
int16_t fake_take(struct fake *fake, uint64_t *id, uint8_t *operation);
int16_t fake_do(struct fake *fake, const struct fake_request *request);
