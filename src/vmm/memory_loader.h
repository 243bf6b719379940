// SPDX-License-Identifier: MIT
/*
 * Fills guest memory from files while the guest runs already. The modules of a boot, a PV guest's kernel above all, are
 * the largest that is loaded, and the shim looks at them only when it has set itself up: until then their bytes are on
 * their way. They are copied and not mapped, since the shim reads all of them once, which page by page costs more than
 * the copy.
 *
 * A thread loads the whole huge pages of their range (guest_memory_defer()); what is left at its ends comes at once. On
 * a host with one CPU the thread waits until somebody wants them: there it would only be in the way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct boot_plan;
struct memory_loader;
struct sandbox;
struct worker;
struct vm;

/* The thread that a machine needs for such a plan, to be given to vm->workers; NULL without an error: none. */
struct worker *memory_loader_worker(const struct boot_plan *plan, const struct sandbox *sandbox, GError **error);

/*
 * Starts to load those segments of plan that may come late, adjacent ones in RAM below 4 GiB; where the plan has nothing
 * else, guest memory must still be as it was made. Keeps plan. A file that ends early, or cannot be read: NULL and
 * DOM1_STATUS_HOST, or, when the guest runs already, the end of the domain. NULL without an error: there are none.
 */
struct memory_loader *memory_loader_new(struct vm *vm, const struct boot_plan *plan, GError **error);

/* Waits until all is loaded. NULL is fine. Before the guest's memory goes. */
void memory_loader_free(struct memory_loader *loader);
