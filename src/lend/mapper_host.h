// SPDX-License-Identifier: MIT
/*
 * The table of lend/mapper.h on Linux 6.6 and newer, without privileges.
 *
 * A window is one range of our address space, which KVM has as one memslot that never changes. What a page shows is the
 * mapping at its place; KVM follows by its MMU notifier: when mmap() or mprotect() returns, no vCPU has the page before.
 * KVM says no address when a vCPU comes upon nothing (KVM_RUN fails with EFAULT); at a poison marker of a userfaultfd it
 * does, by a signal, SIGBUS with BUS_MCEERR_AR. So "arm" is: register, fill with markers while there are no rights yet,
 * then give rights: at no moment would an access find a fresh page of zeros.
 *
 * In place (struct lend_mapper_in_place): the mapping of a file is registered with the userfaultfd, for pages that are missing and for
 * those that only the mapping has not. Since it does not answer the kernel, an access of KVM's to one of them fails, with EFAULT,
 * until UFFDIO_CONTINUE puts the page there. For guest_memfd, which is never swapped; as of Linux 7.2 it cannot be registered.
 *
 * Nobody uses a pointer into a window: what the guest's instructions want of it when the kernel emulates them goes through a
 * pipe, whose system calls fail where an access of our own would kill us. process_vm_readv() would too, but a device's
 * pages, such as a dma-buf's, it does not take.
 */
#pragma once

#include <glib.h>

#include "lend/mapper.h"

struct mapper_host;

extern const struct lend_mapper MAPPER_HOST; /* opaque: the struct mapper_host */

/* DOM1_STATUS_HOST: no userfaultfd, or one without UFFDIO_POISON. */
struct mapper_host *mapper_host_new(GError **error);
/* Whoever has a window's range in a memslot has given it up before. */
void mapper_host_free(struct mapper_host *mapper);

/* In the order of their numbers. The range is for a memslot, and for nothing else. DOM1_STATUS_HOST: no address space. */
bool mapper_host_add_window(struct mapper_host *mapper, size_t n_pages, uintptr_t *hva, GError **error);

/* Any thread; may wait for the files' devices. What is mapped is not looked at. 0 or a positive errno. */
int mapper_host_sync(const struct mapper_host *mapper, unsigned int window);

/* How long its calls were in the kernel, since the start. */
uint64_t mapper_host_kernel_ns(const struct mapper_host *mapper);

/* TRUE: the address of the signal is in a window. */
bool mapper_host_find(const struct mapper_host *mapper, uintptr_t hva, unsigned int *window, size_t *page);
