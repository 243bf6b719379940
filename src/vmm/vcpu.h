// SPDX-License-Identifier: MIT
/*
 * A vCPU: one thread in KVM_RUN.
 *
 * KVM locks a vCPU while it runs, so what must be done to it by ioctl is done by its own thread: vcpu_call() hands it
 * a function, kicks it out of KVM_RUN, and waits. A vCPU that waits for another one goes on serving calls to itself,
 * so two that call each other do not lock up. The caller holds no lock meanwhile.
 *
 * Kick: set immediate_exit, then signal the thread. Whether it is before, in or after KVM_RUN, it comes by the place
 * where calls are served before it enters the guest again.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <linux/kvm.h>

#include "vmm/guest_walk.h"

struct vm;
struct vcpu_call;
struct worker;
struct worker_kind;

struct vcpu {
	struct vm *vm;
	unsigned int number; /* also the Xen id, the APIC id and KVM's id */
	int fd;
	struct kvm_run *run;
	size_t run_bytes;
	struct worker *worker; /* its thread, once it has been started. Borrowed */
	bool started;
	struct vcpu_call *calls; /* under vm->calls_lock, oldest first */
	_Atomic uint32_t down_look; /* the last of the domain's looks in which it was down: halt_watch.h */
	uint32_t seen_look;
	unsigned int n_failures; /* of KVM's, one after the other, its own thread's: may_try_again() */

	/* Xen's state of this vCPU: its own thread's. */
	bool vcpu_info_registered;
	bool initialised; /* VCPUOP_initialise gave it registers; VCPUOP_up may start it */
	void *vcpu_info; /* host address of the struct vcpu_info in use */
	uint8_t upcall_vector;
};

/* In the thread that will not run it. vCPU 0 starts at the plan's entry, the others wait for INIT and SIPI. */
bool vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int number, const struct kvm_cpuid2 *supported, GError **error);
void vcpu_fini(struct vcpu *vcpu);

/* 32-bit flat protected mode, paging and interrupts off: the state both multiboot and PVH ask for. */
bool vcpu_set_entry(struct vcpu *vcpu, uint32_t eip, uint32_t eax, uint32_t ebx, GError **error);

/* Of threads that vCPUs can have. waits_for_traps: there are lend windows. name: of this one. */
struct worker_kind vcpu_worker_kind(const char *name, bool waits_for_traps);
/* Before the first KVM_RUN of any: their thread may be kicked then. */
void vcpu_start(struct vcpu *vcpu, struct worker *worker);
void vcpu_kick(struct vcpu *vcpu); /* any thread */
void vcpu_join(struct vcpu *vcpu); /* the main thread's, after vm_stop() */

/*
 * Keeps all vCPUs out of the guest, or lets them in again. Any thread but a vCPU's; does not wait: each vCPU comes out
 * at its next exit, which the kick makes now.
 */
void vcpu_pause_all(struct vm *vm, bool paused);

/*
 * Until all of them have come out and are at nothing for the guest, which vcpu_pause_all() keeps so. Any thread but a vCPU's.
 * FALSE: the VM stops, or one is not there within timeout_ms.
 */
bool vcpu_await_pause(struct vm *vm, unsigned int timeout_ms);

/*
 * Its own thread, while it is paused: what KVM had still to do for its last exit is done, so that its registers are those after it.
 * FALSE: errno.
 */
bool vcpu_settle(struct vcpu *vcpu);

/*
 * Runs fn in the target's thread and returns what it returned, or cancelled_result when the VM stops first. self: the
 * calling vCPU, NULL for any other thread.
 */
int64_t vcpu_call(struct vcpu *target, struct vcpu *self, int64_t (*fn)(struct vcpu *target, void *argument),
		  void *argument, int64_t cancelled_result);

/*
 * Runs fn in the caller's own thread while no other vCPU runs guest code or a hypercall: they rest at the places where
 * they would wait or enter the guest. The caller holds no lock; fn may not call another vCPU. cancelled_result when
 * the VM stops first, and fn was not called. Two that want it take turns.
 */
int64_t vcpu_run_alone(struct vcpu *self, int64_t (*fn)(struct vcpu *self, void *argument), void *argument,
		       int64_t cancelled_result);

/*
 * A guest-virtual address in the address space with which the vCPU last came out of KVM_RUN. Own thread only. FALSE: its
 * kernel could not do that there (vmm/guest_walk.h).
 */
bool vcpu_translate(struct vcpu *vcpu, uint64_t gva, enum guest_access access, uint64_t *gpa);
/* That address space, for a walk of another kind. Its opaque is the vCPU. */
struct guest_paging vcpu_paging(struct vcpu *vcpu);

/*
 * Keeps all vCPUs out of the guest and of hypercalls, until vcpu_let_in(), as vcpu_run_alone() does. For a thread that is no
 * vCPU's and that none waits for but by resting; it holds no lock. FALSE: the VM stops first; they are let in all the same.
 */
bool vcpu_keep_out(struct vm *vm);
void vcpu_let_in(struct vm *vm);

/* The caller's thread is the vCPU's for a while, before that has one. */
void vcpu_work_as(struct vcpu *vcpu, void (*fn)(struct vcpu *vcpu, void *argument), void *argument);

/*
 * Waits until is_over() says so, as a vCPU waits: it serves calls, rests for others, and can be paused. is_over() looks at
 * atomics alone: a lock is held. FALSE: the VM stops first. Own thread only, outside KVM_RUN.
 */
bool vcpu_rest_until(struct vcpu *self, bool (*is_over)(void *opaque), void *opaque);
/* What some vCPU's is_over() looks at has changed. Any thread. */
void vcpu_end_rest(struct vm *vm);

/* Once, before the first vcpu_start(): installs the handler of the kick signal. */
void vcpu_set_up_kick_signal(void);
