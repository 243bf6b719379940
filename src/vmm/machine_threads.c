// SPDX-License-Identifier: MIT
/*
 * The machine's threads, made before it locks itself in for good: afterwards nobody in it can make one (vmm/worker.h). They
 * stay when the domain restarts, and end with the process.
 */
#include <malloc.h>

#include "lend/lending.h"
#include "lend/peer.h"
#include "vhost/device.h"
#include "virtio/pmem.h"
#include "vmm/machine_state.h"
#include "vmm/memory_loader.h"

/* Larger pieces are mappings of their own, and those are the main thread's alone. */
#define MAPPED_FROM_BYTES (4 << 20)
#define SPARE_BYTES       (1 << 20)

/*
 * One heap, which grows by brk(): a thread with a heap of its own would need mmap(), munmap() and mprotect() for it. Most of
 * what is allocated while a guest runs is the xenstore's, whoever serves it.
 */
static void settle_heap(void)
{
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, SPARE_BYTES);
}

/* syscalls(mapper): futex brk write clock_gettime */
static bool make_workers(struct machine *machine, GError **error)
{
	static const struct worker_kind mapper = { .name = "dom1-mapper", .filter = SANDBOX_MAPPER };
	const struct machine_setup *setup = machine->setup;
	const struct sandbox *sandbox = &setup->sandbox;
	struct vm_workers *workers = &machine->workers;
	GError *own = NULL;

	workers->mapper = worker_new(&mapper, sandbox, &own);
	if (!own)
		workers->loader = memory_loader_worker(setup->plan, sandbox, &own);
	if (!own && setup->lending.n_windows > 0)
		workers->memory = lending_worker(sandbox, &own);
	G_STATIC_ASSERT(VM_MAX_WINDOWS == SPACE_MAX_WINDOWS);
	for (size_t i = 0; !own && i < setup->lending.n_windows; i++)
		if (setup->lending.windows[i].place == LENDING_AT_PMEM)
			workers->flush[i] = pmem_worker(sandbox, &own);
	for (unsigned int i = 0; !own && i < setup->n_vhosts; i++)
		workers->vhost[i] = vhost_worker(i, sandbox, &own);
	if (!own && setup->lend_to_fd >= 0)
		(void)peer_make_workers(workers, sandbox, &own);
	for (unsigned int i = 0; !own && i < setup->config->max_vcpus; i++) {
		char name[16];

		g_snprintf(name, sizeof(name), "dom1-vcpu%u", i);
		const struct worker_kind kind = vcpu_worker_kind(name, setup->lending.n_windows > 0);
		workers->vcpus[i] = worker_new(&kind, sandbox, &own);
	}
	if (own)
		g_propagate_error(error, own);
	return !own;
}

bool machine_make_threads(struct machine *machine, GError **error)
{
	const struct sandbox *sandbox = &machine->setup->sandbox;

	settle_heap();
	if (!make_workers(machine, error) || !(machine->io = io_thread_new(true, sandbox, error)))
		return false;
	sandbox_enter_thread(sandbox, SANDBOX_MAIN, "dom1-machine");
	return true;
}
