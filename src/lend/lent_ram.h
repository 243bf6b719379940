// SPDX-License-Identifier: MIT
/*
 * A domain all of whose RAM is lent (--memory-lent): the first window is the RAM, and no pointer to it exists here either.
 * What hypercalls read and write is copied by the memory thread, under the windows' lock, and waited for like an access of the
 * guest's own: so in this domain, and in no other, lent memory may be a hypercall's argument.
 *
 * What the kernel does by itself would not wait: EVTCHNOP_send and SCHEDOP_poll of CPL 0 would fail with -EFAULT, and the event be
 * lost; an instruction that KVM emulates would end in a page fault in the guest. So a page of RAM is taken back while no
 * vCPU runs, and not at all (EBUSY) while it is one of those that a vCPU's next instruction needs: its code, its
 * stack, and the tables that lead there. All others were used by the CPU itself before the kernel looks at them: they are there.
 *
 * Pages that KVM and dom1 must always reach are not in RAM: shared_info, grant frames, console, xenstore. An area of RAM for
 * vcpu_info, time or runstate is refused; the shim has them in shared_info then.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

struct lending;
struct vcpu;
struct vm;

/* TRUE: RAM is lent, and the gpa lies in it. */
bool lent_ram_has(const struct vm *vm, uint64_t gpa);

/*
 * Copies, within one page of the RAM. Waits as an access of the guest's would. FALSE: it is not lent RAM, or the VM
 * stops. The vCPU's own thread.
 */
bool lent_ram_copy(struct vcpu *vcpu, uint64_t gpa, void *bytes, size_t len_bytes, bool to_guest);

/* For struct guest_paging: an entry of a table that is lent, or not. opaque: the struct vcpu. Accessed and dirty bits stay as they are. */
bool lent_ram_read_entry(void *opaque, uint64_t gpa, size_t len_bytes, uint64_t *entry);

/*
 * Main thread, before the first vCPU runs: waits for the lender to claim the window, and then calls fn, which may use
 * lent_ram_copy() in the vCPU's place. FALSE and DOM1_STATUS_HOST: nobody lends.
 */
bool lent_ram_load(struct lending *lending, void (*fn)(struct vcpu *vcpu, void *argument), void *argument, GError **error);

/* The memory thread's, between its turns and without its lock: TRUE when a lender waits for what must be done without vCPUs. */
bool lent_ram_is_wanted(const struct lending *lending);
/* Its, with the lock, while all vCPUs are kept out. */
void lent_ram_take_back(struct lending *lending, size_t max_pages);
