// SPDX-License-Identifier: MIT
/*
 * Guest memory as a type. All of it is one reservation in our address space, so that an address of the host is the
 * guest's plus a constant; whoever wants to touch it asks for a span, which is refused unless each byte is backed.
 *
 * The reservation covers guest-physical 0 to the end of the overlay window. Holes stay PROT_NONE. RAM is anonymous memory,
 * or a file (vmm/memory_backing.h) in which a byte's offset is its guest-physical address. Pages that the
 * hypervisor owns (shared_info, grant frames) live in a memfd, and guest_memory_overlay() maps them over the place the
 * guest chose: the host address stays the same, KVM notices by itself, and no memslot changes.
 *
 * Thread: everything but new and free may be called from any thread. Contents are shared with a running guest: read
 * a value once, through ring.h or guest_memory_read().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

#include "vmm/layout.h"
#include "vmm/memory_backing.h"

struct guest_memory;
struct worker;

/* A range that KVM gets as a memslot. */
struct guest_memory_slot {
	uint64_t gpa;
	uint64_t len_bytes;
	void *hva;
};
#define GUEST_MEMORY_MAX_SLOTS 3

/* Anonymous. NULL and DOM1_STATUS_HOST when the host has not enough address space or memory. layout is copied. */
struct guest_memory *guest_memory_new(const struct layout *layout, GError **error);
/* On a file of at least guest_memory_file_bytes(), which is taken over in either case, or on none. */
struct guest_memory *guest_memory_new_on(const struct layout *layout, const struct memory_backing *backing, GError **error);
uint64_t guest_memory_file_bytes(const struct layout *layout);
void guest_memory_free(struct guest_memory *memory);

/* What is shown where is changed by this thread from now on, whoever asks for it and waits. Borrowed. */
void guest_memory_map_by(struct guest_memory *memory, struct worker *mapper);
struct worker *guest_memory_mapper(const struct guest_memory *memory); /* NULL: nobody special */

const struct layout *guest_memory_layout(const struct guest_memory *memory);
size_t guest_memory_slots(const struct guest_memory *memory, struct guest_memory_slot slots[GUEST_MEMORY_MAX_SLOTS]);

/* The file that RAM is, a byte at its guest-physical address; -1: it is none. Borrowed. */
int guest_memory_file(const struct guest_memory *memory);

/*
 * RAM shows what the file holds from offset_bytes on, where a byte is at its guest-physical address, and keeps what is written to
 * itself. Once, in the mapper, on memory that is fresh and anonymous; the file must stay as it is and as long as it is. FALSE: errno.
 */
bool guest_memory_show_image(struct guest_memory *memory, int fd, uint64_t offset_bytes);

/* NULL unless [gpa, gpa + len_bytes) lies in RAM or special pages. len_bytes > 0. Not the overlay window. May wait: below. */
void *guest_memory_span(const struct guest_memory *memory, uint64_t gpa, size_t len_bytes);

/* FALSE, and nothing copied, where span() is NULL. */
bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *destination, size_t len_bytes);
bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *source, size_t len_bytes);

/*
 * Memory that comes later. The range, whole huge pages of RAM, is nothing from defer() until supply() puts pages there,
 * those of map_deferred(), which the caller has filled; they are moved. Meanwhile whoever asks for a span of it,
 * or for another page in it, waits; a vCPU that touches it gets EFAULT from KVM_RUN, waits in await(), and does it again.
 * One range, once; FALSE from defer(): that cannot be had. supply() may be called without pages, when there are none to
 * come: then it is zeros. await_demand(): until somebody waits, for who has no reason to supply before that.
 */
#define GUEST_MEMORY_HUGE_BYTES (UINT64_C(2) << 20)
bool guest_memory_defer(struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes);
/* A mapping as long as the range, for one thread; NULL and errno. For supply(), or the caller's munmap(). */
void *guest_memory_map_deferred(const struct guest_memory *memory);
bool guest_memory_supply(struct guest_memory *memory, void *pages);
bool guest_memory_is_deferred(const struct guest_memory *memory);
void guest_memory_await(const struct guest_memory *memory);
void guest_memory_await_demand(struct guest_memory *memory);

/*
 * Shows page offset_bytes of memfd at gfn, in RAM or in the overlay window; what was there is gone. 0 or a positive
 * errno: EINVAL for a gfn outside both.
 */
int guest_memory_overlay(struct guest_memory *memory, uint64_t gfn, int memfd, uint64_t offset_bytes);
/*
 * The same for a page that the guest may only read. RAM that cannot be written to would be a trap for whoever has a span
 * of it, and for KVM, which cannot say where a guest's write failed: a write is kept at this gfn alone.
 */
int guest_memory_overlay_private(struct guest_memory *memory, uint64_t gfn, int memfd, uint64_t offset_bytes);
/* The opposite: the gfn gets a fresh page of zeros (RAM) or none (window). */
int guest_memory_overlay_remove(struct guest_memory *memory, uint64_t gfn);

/*
 * Gives the pages back to the host; the guest finds zeros when it touches them again. RAM only. Where they were the host
 * makes no new huge pages, which would fill the holes.
 */
bool guest_memory_discard(struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes);
