// SPDX-License-Identifier: MIT
/*
 * Fills a range of guest memory from a file while the guest runs already. A PV guest's kernel is the largest thing that
 * is loaded, and the shim looks at it only when it has set itself up: until then its bytes are on their way. They are
 * copied and not mapped, since the shim reads all of them once, which page by page costs more than the copy.
 *
 * Whole huge pages of the range come late (guest_memory_defer()), what is left at its ends comes at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct memory_loader;
struct vm;

/*
 * Starts to load the first len_bytes of fd to gpa, in RAM below 4 GiB. fd stays the caller's, and open until
 * memory_loader_free(). A file that ends early, or cannot be read: NULL and DOM1_STATUS_HOST, or, when the guest runs
 * already, the end of the domain.
 */
struct memory_loader *memory_loader_new(struct vm *vm, uint64_t gpa, int fd, size_t len_bytes, GError **error);

/* Waits until all is loaded. NULL is fine. Before the guest's memory goes. */
void memory_loader_free(struct memory_loader *loader);
