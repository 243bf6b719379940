// SPDX-License-Identifier: MIT
/*
 * A front end in this process: a domain's memory, grant table, xenstore and event channels without KVM, and a disk of
 * dom1's on top. It writes what a guest may write, true or not.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/block.h"
#include "backend/block_file.h"
#include "vmm/guest_memory.h"
#include "xen/grant.h"

#define FAKE_DISK_SECTORS 4096u
#define FAKE_PAGE         4096u
#define FAKE_PORTS        64u

struct fake_port {
	int from_guest_fd, to_guest_fd; /* 0: not bound */
	bool waits;                     /* for domain 0 */
};

struct fake {
	struct xenstore *store;
	struct guest_memory *memory;
	void *grant_frames;
	struct grant_table grants;
	pthread_mutex_t lock;
	struct io_thread *io;
	struct fake_port ports[FAKE_PORTS];
	unsigned int n_bound;
	struct block_file file;
	struct block_env env;
	struct block_device *device; /* NULL: it has left */
	char *path;
	char *ended; /* what env.end() was told */
	char *no_room; /* what env.no_room() was told last */

	uint32_t next_gfn, next_ref;
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
void fake_free(struct fake *fake);

uint8_t *fake_page(struct fake *fake, uint32_t *gfn);
uint32_t fake_grant(struct fake *fake, uint32_t gfn, uint16_t flags); /* a fresh reference */
uint8_t *fake_granted_page(struct fake *fake, uint32_t *ref);
uint16_t fake_grant_flags(const struct fake *fake, uint32_t ref);

void fake_write(struct fake *fake, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);
void fake_set_state(struct fake *fake, int state);
int fake_back_state(const struct fake *fake);
char *fake_back_node(const struct fake *fake, const char *key); /* NULL: there is none. g_free() */
/* Runs the main loop until the back end is in the state; the test fails when it never is. */
void fake_wait_state(struct fake *fake, int state);
void fake_run_for(unsigned int ms);

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
