// SPDX-License-Identifier: MIT
#include "vmm/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/worker.h"
#include "xen/ring.h"

/* Of the 65530 mappings that a process may have by default, at most these times two. */
#define MAX_HOLE_RUNS 1024u

struct guest_memory {
	struct layout layout;
	uint8_t *reservation; /* as mmap gave it */
	size_t reservation_bytes;
	uint8_t *base; /* host address of guest-physical 0, aligned to a huge page */
	struct memory_backing backing;
	bool has_image; /* what is given back would show it again */
	struct worker *mapper; /* NULL: each thread maps for itself */

	uint64_t deferred_gpa, deferred_end_gpa; /* both 0: nothing is, nor was */
	_Atomic bool is_deferred;
	bool is_wanted; /* somebody has waited for it */
	pthread_mutex_t deferred_lock; /* of is_deferred's end, and is_wanted */
	pthread_cond_t deferred_changed;

	pthread_mutex_t holes_lock;
	uint8_t *has_holes; /* a bit for each huge page's worth: pages of it were given back to the host */
	size_t n_hole_runs; /* of such side by side, at most: each is a mapping of its own */
};

/* What is below is no memory of ours. */
static uint64_t ram_gpa(const struct layout *layout)
{
	return layout->ram_is_lent ? layout->low_ram_top_gpa : 0;
}

static void advise(const struct guest_memory *memory, void *hva, size_t len_bytes)
{
	/* Wishes: a kernel without them boots guests as well, only slower, or with guests in our core dumps. */
	if (memory->backing.has_huge_pages)
		(void)madvise(hva, len_bytes, MADV_HUGEPAGE);
	(void)madvise(hva, len_bytes, MADV_DONTDUMP);
}

/* What is RAM at gpa, to be seen at hva. 0 or errno. syscalls(mapper, loader): mmap(~PROT_EXEC) madvise */
static int map_at(const struct guest_memory *memory, void *hva, uint64_t gpa, uint64_t len_bytes, int rights)
{
	bool has_file = memory->backing.fd >= 0;
	int flags = MAP_NORESERVE | MAP_FIXED | (has_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);

	return mmap(hva, len_bytes, rights, flags, memory->backing.fd, has_file ? (off_t)gpa : 0) == MAP_FAILED ? errno : 0;
}

/* 0 or errno, which is set as well. */
static int map_ram(const struct guest_memory *memory, uint64_t gpa, uint64_t end_gpa)
{
	if (end_gpa <= gpa)
		return 0;
	errno = map_at(memory, memory->base + gpa, gpa, end_gpa - gpa, PROT_READ | PROT_WRITE);
	if (errno != 0)
		return errno;
	advise(memory, memory->base + gpa, end_gpa - gpa);
	return 0;
}

/* Pages of the file become zeros again, and take no memory; whatever is mapped in their place stays. */
/* syscalls(mapper, loader): fallocate */
static bool punch_hole(const struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes)
{
	return fallocate(memory->backing.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)gpa, (off_t)len_bytes) == 0;
}

void guest_memory_map_by(struct guest_memory *memory, struct worker *mapper)
{
	memory->mapper = mapper;
}

struct worker *guest_memory_mapper(const struct guest_memory *memory)
{
	return memory->mapper;
}

uint64_t guest_memory_file_bytes(const struct layout *layout)
{
	return MAX(layout->special_end_gpa, layout->high_ram_top_gpa);
}

struct guest_memory *guest_memory_new(const struct layout *layout, GError **error)
{
	const struct memory_backing anonymous = { .fd = -1, .has_huge_pages = true };

	return guest_memory_new_on(layout, &anonymous, error);
}

struct guest_memory *guest_memory_new_on(const struct layout *layout, const struct memory_backing *backing, GError **error)
{
	struct guest_memory *memory = g_new0(struct guest_memory, 1);

	memory->layout = *layout;
	memory->backing = *backing;
	pthread_mutex_init(&memory->deferred_lock, NULL);
	pthread_cond_init(&memory->deferred_changed, NULL);
	pthread_mutex_init(&memory->holes_lock, NULL);
	memory->has_holes = g_malloc0(MAX(layout->low_ram_top_gpa, layout->high_ram_top_gpa) / GUEST_MEMORY_HUGE_BYTES / 8 + 1);
	memory->reservation_bytes = layout->overlay_end_gpa + 2 * GUEST_MEMORY_HUGE_BYTES;
	void *reservation = mmap(NULL, memory->reservation_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reservation == MAP_FAILED)
		goto fail;
	memory->reservation = reservation;
	/* On both sides something of the reservation is left, which nothing can be mapped to. */
	memory->base = (uint8_t *)(((uintptr_t)reservation + GUEST_MEMORY_HUGE_BYTES) & ~(GUEST_MEMORY_HUGE_BYTES - 1));

	if (map_ram(memory, ram_gpa(layout), layout->special_end_gpa) != 0 || map_ram(memory, LAYOUT_4GIB, layout->high_ram_top_gpa) != 0)
		goto fail;
	return memory;
fail:
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
		    "cannot map %" G_GUINT64_FORMAT " MiB of guest memory: %s; ask for less with --memory",
		    layout->ram_bytes >> 20, g_strerror(errno));
	guest_memory_free(memory);
	return NULL;
}

static bool show_range(const struct guest_memory *memory, uint64_t gpa, uint64_t end_gpa, int fd, uint64_t offset_bytes)
{
	if (end_gpa <= gpa)
		return true;
	if (mmap(memory->base + gpa, end_gpa - gpa, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd,
		 (off_t)(offset_bytes + gpa)) == MAP_FAILED)
		return false;
	advise(memory, memory->base + gpa, end_gpa - gpa);
	return true;
}

/* syscalls(mapper): mmap(~PROT_EXEC) madvise */
bool guest_memory_show_image(struct guest_memory *memory, int fd, uint64_t offset_bytes)
{
	const struct layout *layout = &memory->layout;

	g_assert(memory->backing.fd < 0);
	memory->has_image = true;
	/* Huge pages would be copies: what is not written to stays the file's, for all domains that show it. */
	memory->backing.has_huge_pages = false;
	return show_range(memory, 0, layout->special_end_gpa, fd, offset_bytes) &&
	       show_range(memory, LAYOUT_4GIB, layout->high_ram_top_gpa, fd, offset_bytes);
}

/* syscalls(main): munmap close */
void guest_memory_free(struct guest_memory *memory)
{
	if (!memory)
		return;
	if (memory->reservation)
		munmap(memory->reservation, memory->reservation_bytes);
	if (memory->backing.fd >= 0)
		close(memory->backing.fd);
	g_free(memory->has_holes);
	pthread_mutex_destroy(&memory->holes_lock);
	pthread_cond_destroy(&memory->deferred_changed);
	pthread_mutex_destroy(&memory->deferred_lock);
	g_free(memory);
}

const struct layout *guest_memory_layout(const struct guest_memory *memory)
{
	return &memory->layout;
}

size_t guest_memory_slots(const struct guest_memory *memory, struct guest_memory_slot slots[GUEST_MEMORY_MAX_SLOTS])
{
	const struct layout *layout = &memory->layout;
	size_t n = 0;

	slots[n++] = (struct guest_memory_slot){ ram_gpa(layout), layout->low_window_end_gpa - ram_gpa(layout),
						 memory->base + ram_gpa(layout) };
	if (layout->high_ram_top_gpa > LAYOUT_4GIB)
		slots[n++] = (struct guest_memory_slot){ LAYOUT_4GIB, layout->high_ram_top_gpa - LAYOUT_4GIB,
							 memory->base + LAYOUT_4GIB };
	slots[n++] = (struct guest_memory_slot){ layout->overlay_gpa, layout->overlay_end_gpa - layout->overlay_gpa,
						 memory->base + layout->overlay_gpa };
	return n;
}

int guest_memory_file(const struct guest_memory *memory)
{
	return memory->backing.fd;
}

static bool inside(uint64_t gpa, uint64_t len_bytes, uint64_t start, uint64_t end)
{
	return gpa >= start && gpa < end && len_bytes <= end - gpa;
}

bool guest_memory_is_deferred(const struct guest_memory *memory)
{
	return atomic_load(&memory->is_deferred);
}

void guest_memory_await(const struct guest_memory *memory)
{
	/* What is waited for is no part of the memory's value. */
	struct guest_memory *waited = (struct guest_memory *)(uintptr_t)memory;

	pthread_mutex_lock(&waited->deferred_lock);
	waited->is_wanted = true;
	pthread_cond_broadcast(&waited->deferred_changed);
	while (atomic_load(&waited->is_deferred))
		pthread_cond_wait(&waited->deferred_changed, &waited->deferred_lock);
	pthread_mutex_unlock(&waited->deferred_lock);
}

void guest_memory_await_demand(struct guest_memory *memory)
{
	pthread_mutex_lock(&memory->deferred_lock);
	while (!memory->is_wanted)
		pthread_cond_wait(&memory->deferred_changed, &memory->deferred_lock);
	pthread_mutex_unlock(&memory->deferred_lock);
}

static void await_range(const struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes)
{
	if (guest_memory_is_deferred(memory) && gpa < memory->deferred_end_gpa && gpa + len_bytes > memory->deferred_gpa)
		guest_memory_await(memory);
}

bool guest_memory_defer(struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes)
{
	if (memory->deferred_end_gpa != 0 || gpa % GUEST_MEMORY_HUGE_BYTES != 0 || len_bytes % GUEST_MEMORY_HUGE_BYTES != 0 ||
	    len_bytes == 0 || !inside(gpa, len_bytes, ram_gpa(&memory->layout), memory->layout.low_ram_top_gpa))
		return false;
	if (map_at(memory, memory->base + gpa, gpa, len_bytes, PROT_NONE) != 0)
		return false;
	memory->deferred_gpa = gpa;
	memory->deferred_end_gpa = gpa + len_bytes;
	atomic_store(&memory->is_deferred, true);
	return true;
}

/* syscalls(loader): munmap */
void *guest_memory_map_deferred(const struct guest_memory *memory)
{
	size_t len_bytes = memory->deferred_end_gpa - memory->deferred_gpa;
	size_t reserved_bytes = len_bytes + GUEST_MEMORY_HUGE_BYTES;
	uint8_t *reserved = mmap(NULL, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (reserved == MAP_FAILED)
		return NULL;
	size_t head_bytes = -(uintptr_t)reserved & (GUEST_MEMORY_HUGE_BYTES - 1);
	uint8_t *pages = reserved + head_bytes;

	if (head_bytes != 0)
		munmap(reserved, head_bytes);
	munmap(pages + len_bytes, GUEST_MEMORY_HUGE_BYTES - head_bytes);
	errno = map_at(memory, pages, memory->deferred_gpa, len_bytes, PROT_READ | PROT_WRITE);
	if (errno == 0) {
		advise(memory, pages, len_bytes);
		return pages;
	}
	munmap(pages, len_bytes);
	return NULL;
}

/* syscalls(loader, main): mremap mprotect(~PROT_EXEC) */
bool guest_memory_supply(struct guest_memory *memory, void *pages)
{
	uint8_t *hva = memory->base + memory->deferred_gpa;
	size_t len_bytes = memory->deferred_end_gpa - memory->deferred_gpa;
	bool supplied = pages && mremap(pages, len_bytes, len_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, hva) != MAP_FAILED;

	/* Whoever waits must find something, if only memory for a domain that is at its end. */
	if (!supplied && memory->backing.fd >= 0)
		(void)punch_hole(memory, memory->deferred_gpa, len_bytes);
	if (!supplied)
		(void)mprotect(hva, len_bytes, PROT_READ | PROT_WRITE);
	pthread_mutex_lock(&memory->deferred_lock);
	atomic_store(&memory->is_deferred, false);
	pthread_cond_broadcast(&memory->deferred_changed);
	pthread_mutex_unlock(&memory->deferred_lock);
	return supplied;
}

void *guest_memory_span(const struct guest_memory *memory, uint64_t gpa, size_t len_bytes)
{
	const struct layout *layout = &memory->layout;

	if (len_bytes == 0)
		return NULL;
	if (!inside(gpa, len_bytes, ram_gpa(layout), layout->special_end_gpa) &&
	    !inside(gpa, len_bytes, LAYOUT_4GIB, layout->high_ram_top_gpa))
		return NULL;
	await_range(memory, gpa, len_bytes);
	return memory->base + gpa;
}

bool guest_memory_read(const struct guest_memory *memory, uint64_t gpa, void *destination, size_t len_bytes)
{
	const void *source = guest_memory_span(memory, gpa, len_bytes);

	if (!source)
		return false;
	ring_copy_from(destination, source, len_bytes);
	return true;
}

bool guest_memory_write(const struct guest_memory *memory, uint64_t gpa, const void *source, size_t len_bytes)
{
	void *destination = guest_memory_span(memory, gpa, len_bytes);

	if (!destination)
		return false;
	memcpy(destination, source, len_bytes);
	return true;
}

/* Where a page of the hypervisor's may be shown: RAM proper (not the special pages) or the window. */
static bool gfn_is_ram(const struct guest_memory *memory, uint64_t gfn)
{
	const struct layout *layout = &memory->layout;

	if (gfn > UINT64_MAX / LAYOUT_PAGE_BYTES)
		return false;
	return inside(gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES, ram_gpa(layout), layout->low_ram_top_gpa) ||
	       inside(gfn * LAYOUT_PAGE_BYTES, LAYOUT_PAGE_BYTES, LAYOUT_4GIB, layout->high_ram_top_gpa);
}

static bool gfn_is_window(const struct guest_memory *memory, uint64_t gfn)
{
	const struct layout *layout = &memory->layout;

	return (gfn >= layout->overlay_gpa / LAYOUT_PAGE_BYTES && gfn < layout->overlay_end_gpa / LAYOUT_PAGE_BYTES) ||
	       (gfn >= layout->special_end_gpa / LAYOUT_PAGE_BYTES && gfn < layout->low_window_end_gpa / LAYOUT_PAGE_BYTES);
}

/* What the mapper is asked for; on the stack of who waits for it. */
struct change {
	struct guest_memory *memory;
	uint64_t gpa, len_bytes;
	int fd;
	uint64_t offset_bytes;
	int sharing;
	int error;
};

/* 0 or errno. */
static int run_change(struct change *change, void (*fn)(void *opaque))
{
	worker_run(change->memory->mapper, fn, change);
	return change->error;
}

static void do_overlay(void *opaque)
{
	struct change *change = opaque;
	const struct guest_memory *memory = change->memory;
	uint64_t gfn = change->gpa / LAYOUT_PAGE_BYTES;
	void *hva = memory->base + change->gpa;

	change->error = mmap(hva, LAYOUT_PAGE_BYTES, PROT_READ | PROT_WRITE, change->sharing | MAP_FIXED, change->fd,
			     (off_t)change->offset_bytes) == MAP_FAILED ? errno : 0;
	/* It would take memory that nobody sees. */
	if (change->error == 0 && memory->backing.fd >= 0 && gfn_is_ram(memory, gfn))
		(void)punch_hole(memory, change->gpa, LAYOUT_PAGE_BYTES);
}

static int overlay(struct guest_memory *memory, uint64_t gfn, int memfd, uint64_t offset_bytes, int sharing)
{
	struct change change = { .memory = memory, .gpa = gfn * LAYOUT_PAGE_BYTES, .fd = memfd, .offset_bytes = offset_bytes,
				 .sharing = sharing };

	if (!gfn_is_ram(memory, gfn) && !gfn_is_window(memory, gfn))
		return EINVAL;
	await_range(memory, change.gpa, LAYOUT_PAGE_BYTES);
	return run_change(&change, do_overlay);
}

int guest_memory_overlay(struct guest_memory *memory, uint64_t gfn, int memfd, uint64_t offset_bytes)
{
	return overlay(memory, gfn, memfd, offset_bytes, MAP_SHARED);
}

int guest_memory_overlay_private(struct guest_memory *memory, uint64_t gfn, int memfd, uint64_t offset_bytes)
{
	return overlay(memory, gfn, memfd, offset_bytes, MAP_PRIVATE);
}

/* Of what the host makes no huge pages, [gpa, end_gpa) or the part of it that is RAM. */
static void advise_small(const struct guest_memory *memory, uint64_t gpa, uint64_t end_gpa)
{
	const struct layout *layout = &memory->layout;
	const uint64_t ram[][2] = { { 0, layout->low_ram_top_gpa }, { LAYOUT_4GIB, layout->high_ram_top_gpa } };

	for (size_t i = 0; i < G_N_ELEMENTS(ram); i++) {
		uint64_t from_gpa = MAX(gpa, ram[i][0]), to_gpa = MIN(end_gpa, ram[i][1]);

		if (from_gpa < to_gpa)
			(void)madvise(memory->base + from_gpa, to_gpa - from_gpa, MADV_NOHUGEPAGE);
	}
}

static bool has_holes(const struct guest_memory *memory, uint64_t huge)
{
	return memory->has_holes[huge / 8] & 1u << huge % 8;
}

/*
 * khugepaged makes whole huge pages of those with holes: what the guest has given up would come back, as zeros. Only those
 * stay small, since every PV Linux gives up a page or two when it starts; unless there are so many here and there that
 * the process would run out of mappings.
 */
static void keep_holes(struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes)
{
	uint64_t last = (gpa + len_bytes - 1) / GUEST_MEMORY_HUGE_BYTES;

	if (!memory->backing.has_huge_pages)
		return;
	pthread_mutex_lock(&memory->holes_lock);
	for (uint64_t huge = gpa / GUEST_MEMORY_HUGE_BYTES; huge <= last && memory->n_hole_runs <= MAX_HOLE_RUNS; huge++) {
		if (has_holes(memory, huge))
			continue;
		memory->has_holes[huge / 8] |= (uint8_t)(1u << huge % 8);
		memory->n_hole_runs += !(huge > 0 && has_holes(memory, huge - 1));
		if (memory->n_hole_runs <= MAX_HOLE_RUNS)
			advise_small(memory, huge * GUEST_MEMORY_HUGE_BYTES, (huge + 1) * GUEST_MEMORY_HUGE_BYTES);
		else {
			/* What comes later brings other advice with it: let it come first. */
			guest_memory_await(memory);
			advise_small(memory, 0, UINT64_MAX);
		}
	}
	pthread_mutex_unlock(&memory->holes_lock);
}

/* Advised as its neighbours are: else each page that was taken and given back would be a mapping of its own. */
static void do_remap_ram(void *opaque)
{
	struct change *change = opaque;
	struct guest_memory *memory = change->memory;
	const uint64_t gpa = change->gpa;

	pthread_mutex_lock(&memory->holes_lock);
	bool is_fresh = memory->backing.fd < 0 || punch_hole(memory, gpa, LAYOUT_PAGE_BYTES);
	change->error = is_fresh ? map_ram(memory, gpa, gpa + LAYOUT_PAGE_BYTES) : errno;
	if (change->error == 0 && (memory->n_hole_runs > MAX_HOLE_RUNS || has_holes(memory, gpa / GUEST_MEMORY_HUGE_BYTES)))
		advise_small(memory, gpa, gpa + LAYOUT_PAGE_BYTES);
	pthread_mutex_unlock(&memory->holes_lock);
}

static void do_clear_window(void *opaque)
{
	struct change *change = opaque;

	change->error = mmap(change->memory->base + change->gpa, LAYOUT_PAGE_BYTES, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED ? errno : 0;
}

int guest_memory_overlay_remove(struct guest_memory *memory, uint64_t gfn)
{
	struct change change = { .memory = memory, .gpa = gfn * LAYOUT_PAGE_BYTES };

	if (gfn_is_ram(memory, gfn)) {
		await_range(memory, change.gpa, LAYOUT_PAGE_BYTES);
		return run_change(&change, do_remap_ram);
	}
	return gfn_is_window(memory, gfn) ? run_change(&change, do_clear_window) : EINVAL;
}

static void do_discard(void *opaque)
{
	struct change *change = opaque;
	struct guest_memory *memory = change->memory;
	const uint64_t len_bytes = (change->len_bytes + LAYOUT_PAGE_BYTES - 1) & ~(uint64_t)(LAYOUT_PAGE_BYTES - 1);

	/* Where no more mappings may be made, the memory stays taken. */
	if (memory->has_image) {
		if (map_ram(memory, change->gpa, change->gpa + len_bytes) != 0)
			memset(memory->base + change->gpa, 0, len_bytes);
		return;
	}
	keep_holes(memory, change->gpa, change->len_bytes);
	bool done = memory->backing.fd >= 0 ? punch_hole(memory, change->gpa, len_bytes) :
					      madvise(memory->base + change->gpa, len_bytes, MADV_DONTNEED) == 0;
	change->error = done ? 0 : errno;
}

bool guest_memory_discard(struct guest_memory *memory, uint64_t gpa, uint64_t len_bytes)
{
	const struct layout *layout = &memory->layout;
	struct change change = { .memory = memory, .gpa = gpa, .len_bytes = len_bytes };

	if (len_bytes == 0 || gpa % LAYOUT_PAGE_BYTES != 0 || (!inside(gpa, len_bytes, ram_gpa(layout), layout->low_ram_top_gpa) &&
			       !inside(gpa, len_bytes, LAYOUT_4GIB, layout->high_ram_top_gpa)))
		return false;
	await_range(memory, gpa, len_bytes);
	return run_change(&change, do_discard) == 0;
}
