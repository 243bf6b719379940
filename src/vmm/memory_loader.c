// SPDX-License-Identifier: MIT
#include "vmm/memory_loader.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim/boot_plan.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/read_whole.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

#define HUGE GUEST_MEMORY_HUGE_BYTES

struct memory_loader {
	struct vm *vm;
	const struct boot_plan *plan;
	uint64_t gpa, end_gpa; /* what comes late; empty: nothing does */
	bool on_demand;
	struct worker *worker, *own; /* own: NULL, it is borrowed */
};

/* Those parts of the segments that lie in [gpa, end_gpa), to pages, or to guest memory where that is NULL. */
static bool read_part(const struct memory_loader *loader, uint64_t gpa, uint64_t end_gpa, uint8_t *pages)
{
	const struct boot_plan *plan = loader->plan;

	for (size_t i = 0; i < plan->n_segments; i++) {
		const struct boot_segment *segment = &plan->segments[i];
		uint64_t from_gpa = MAX(gpa, segment->gpa), to_gpa = MIN(end_gpa, segment->gpa + segment->len_bytes);

		if (!segment->may_come_late || from_gpa >= to_gpa)
			continue;
		size_t len_bytes = to_gpa - from_gpa;
		uint64_t offset_bytes = from_gpa - segment->gpa;
		uint8_t *to = pages ? pages + (from_gpa - gpa) : guest_memory_span(loader->vm->memory, from_gpa, len_bytes);

		g_assert(to);
		if (!segment->has_file)
			memcpy(to, segment->bytes + offset_bytes, len_bytes);
		else if (!read_whole(segment->file_fd, to, len_bytes, segment->file_offset_bytes + offset_bytes))
			return false;
	}
	return true;
}

/*
 * The thread's. Pages are filled in one place and moved to another: no guest sees half of them.
 * syscalls(loader): pread64 munmap write futex brk clock_gettime
 */
static void load(void *opaque)
{
	const struct memory_loader *loader = opaque;
	struct guest_memory *memory = loader->vm->memory;
	size_t len_bytes = loader->end_gpa - loader->gpa;

	if (loader->on_demand)
		guest_memory_await_demand(memory);
	void *pages = guest_memory_map_deferred(memory);

	if (pages && read_part(loader, loader->gpa, loader->end_gpa, pages) && guest_memory_supply(memory, pages))
		return;
	/* First the end, then zeros for those who wait: no vCPU runs on with them. */
	vm_end(loader->vm, OUTCOME_HOST_ERROR, DOM1_STATUS_HOST, "cannot load the guest's kernel: %s", read_whole_reason());
	(void)guest_memory_supply(memory, NULL);
	if (pages)
		munmap(pages, len_bytes);
}

static const struct worker_kind KIND = { .name = "dom1-loader", .filter = SANDBOX_LOADER };

struct worker *memory_loader_worker(const struct boot_plan *plan, const struct sandbox *sandbox, GError **error)
{
	for (size_t i = 0; i < plan->n_segments; i++)
		if (plan->segments[i].may_come_late)
			return worker_new(&KIND, sandbox, error);
	return NULL;
}

/* Sets the error. */
static bool fail(GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot load the guest's kernel: %s", read_whole_reason());
	return false;
}

/* The range of the late segments, and how far it may grow before it meets something else of the plan. FALSE: none. */
static bool find_range(const struct boot_plan *plan, uint64_t *gpa, uint64_t *end_gpa, uint64_t *floor_gpa, uint64_t *ceiling_gpa)
{
	*gpa = *ceiling_gpa = UINT64_MAX;
	*end_gpa = *floor_gpa = 0;
	for (size_t i = 0; i < plan->n_segments; i++) {
		const struct boot_segment *segment = &plan->segments[i];
		uint64_t segment_end_gpa = segment->gpa + segment->mem_bytes;

		if (segment->may_come_late) {
			*gpa = MIN(*gpa, segment->gpa);
			*end_gpa = segment_end_gpa;
		} else if (*end_gpa == 0)
			*floor_gpa = segment_end_gpa;
		else
			*ceiling_gpa = MIN(*ceiling_gpa, segment->gpa);
	}
	return *end_gpa != 0;
}

/* Whole huge pages: around the segments where there is room, else inside of them, and the rest is read at once. */
static bool begin(struct memory_loader *loader, GError **error)
{
	struct guest_memory *memory = loader->vm->memory;
	uint64_t gpa, end_gpa, floor_gpa, ceiling_gpa;

	if (!find_range(loader->plan, &gpa, &end_gpa, &floor_gpa, &ceiling_gpa))
		return true;
	ceiling_gpa = MIN(ceiling_gpa, guest_memory_layout(memory)->low_ram_top_gpa);
	loader->gpa = gpa & ~(HUGE - 1);
	if (loader->gpa < floor_gpa)
		loader->gpa += HUGE;
	loader->end_gpa = (end_gpa + HUGE - 1) & ~(HUGE - 1);
	if (loader->end_gpa > ceiling_gpa)
		loader->end_gpa -= HUGE;
	/* Something in between, as no plan has it today, would be lost. */
	if (end_gpa > ceiling_gpa || loader->gpa >= loader->end_gpa ||
	    !guest_memory_defer(memory, loader->gpa, loader->end_gpa - loader->gpa))
		loader->gpa = loader->end_gpa = end_gpa;
	return (read_part(loader, gpa, loader->gpa, NULL) && read_part(loader, loader->end_gpa, end_gpa, NULL)) || fail(error);
}

/* syscalls(main): sched_getaffinity */
struct memory_loader *memory_loader_new(struct vm *vm, const struct boot_plan *plan, GError **error)
{
	struct memory_loader *loader = g_new0(struct memory_loader, 1);

	loader->vm = vm;
	loader->plan = plan;
	loader->on_demand = g_get_num_processors() == 1;
	bool begun = begin(loader, error);

	if (begun && loader->gpa < loader->end_gpa) {
		if (vm->workers)
			loader->worker = vm->workers->loader;
		else
			loader->worker = loader->own = worker_new(&KIND, NULL, error);
		if (loader->worker) {
			worker_start(loader->worker, load, loader);
			return loader;
		}
		begun = false;
	}
	/* Nobody will come with the rest. */
	if (!begun && guest_memory_is_deferred(vm->memory))
		(void)guest_memory_supply(vm->memory, NULL);
	g_free(loader);
	return NULL;
}

void memory_loader_free(struct memory_loader *loader)
{
	if (!loader)
		return;
	guest_memory_await(loader->vm->memory);
	worker_wait(loader->worker);
	worker_free(loader->own);
	g_free(loader);
}
