// SPDX-License-Identifier: MIT
/*
 * A domain all of whose vCPUs halt with interrupts off goes on no more, and Xen powers it off: hvm_vcpu_down(). KVM
 * keeps HLT to itself, so somebody has to look: once in a while, when no vCPU has used CPU time since the last look,
 * each of them is asked by a kick. It answers on its way back into the guest, nobody waits for it. All have to be down
 * in two looks, one after the other: one that answered may be woken by another that has not yet.
 *
 * Thread: the main thread; halt_watch_answer() is a vCPU's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct halt_watch;
struct vcpu;
struct vm;

/* From before the first vcpu_start() until before vCPUs are joined for good. all_down ends the domain. */
struct halt_watch *halt_watch_new(struct vm *vm, void (*all_down)(struct vm *vm));
void halt_watch_free(struct halt_watch *watch);

/* Each time that a vCPU was kicked. */
void halt_watch_answer(struct vcpu *vcpu);

/* The decision, without clock and vCPUs. */
struct halt_looks {
	uint64_t used_ns;    /* CPU time of all vCPUs at the last turn */
	unsigned int n_down; /* looks, one after the other, in which all were down */
	bool is_asked;
};
enum halt_next { HALT_WAIT, HALT_ASK, HALT_END };
/* all_down: what they answered; only looked at when they were asked. */
enum halt_next halt_looks_turn(struct halt_looks *looks, uint64_t used_ns, bool all_down);
