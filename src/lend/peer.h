// SPDX-License-Identifier: MIT
/*
 * The guest as a lender (dom1/lend-abi.h): its hypercall becomes requests of LEND/1 to the borrower's dom1, its own RAM's file
 * what is lent, and the borrower's faults entries of a ring in the guest, with an event.
 *
 * Authority is the connection that --lend-to names. The borrower's dom1 gets a descriptor of all of the guest's RAM with
 * each page, maps what it is told, and closes it: it is trusted as this one is; its guest has no way to it.
 *
 * It lasts for one start of the guest: with a restart or a soft reset the connection ends, and with it all is revoked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

struct peer;
struct sandbox;
struct vm;
struct vm_workers;
struct dom1_lend_op;

/* Its threads. FALSE and DOM1_STATUS_HOST: there may be one nevertheless. */
bool peer_make_workers(struct vm_workers *workers, const struct sandbox *sandbox, GError **error);

/* Main thread, when the VM has its memory and its workers; waits for the borrower's dom1. fd is taken over. DOM1_STATUS_HOST. */
struct peer *peer_new(struct vm *vm, int fd, GError **error);
/* Any thread: who waits for the borrower goes on without an answer, and nothing is lent any more. NULL is fine. */
void peer_cut(const struct peer *peer);
/* Main thread, when no vCPU runs and there still are event channels. NULL is fine. */
void peer_free(struct peer *peer);

/* The vCPU's thread, for which another one does it. 0, or a negative Xen errno; results are in the structure. */
int64_t peer_run(struct peer *peer, struct dom1_lend_op *op);
