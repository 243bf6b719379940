// SPDX-License-Identifier: MIT
/*
 * A guest in this process: a domain's memory, grant table, xenstore and event channels without KVM. It writes what a guest
 * may write, true or not.
 *
 * A front end's own struct fake begins with a struct fake_guest; the functions here take the whole.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#include "backend/backend_port.h"
#include "backend/io_thread.h"
#include "backend/ring_claims.h"
#include "vmm/guest_memory.h"
#include "xen/grant.h"

#define FAKE_PAGE    4096u
#define FAKE_PORTS   64u
#define FAKE_FRAMES  4u /* of grants */
#define FAKE_ENTRIES (FAKE_FRAMES * 512)

struct fake_port {
	int from_guest_fd, to_guest_fd; /* 0: not bound */
	bool waits;                     /* for domain 0 */
};

struct fake_guest {
	struct xenstore *store;
	struct guest_memory *memory;
	void *grant_frames;
	struct grant_table grants;
	pthread_mutex_t lock;
	struct io_thread *io;
	struct ring_access access; /* to all of this */
	struct fake_port ports[FAKE_PORTS];
	unsigned int n_bound;
	uint32_t next_gfn, next_ref;
	char *front, *back; /* the device's folders in the store, with a slash at the end */
};

/* class and number: of the device that is tested. use_uring: where the host allows it. */
void fake_guest_init(struct fake_guest *guest, bool use_uring, const char *class, unsigned int number);
/* Nothing may be left of what a device held. */
void fake_guest_fini(struct fake_guest *guest);
/* Forgets pages and references given out so far. */
void fake_guest_recycle(struct fake_guest *guest);

struct fake;

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
