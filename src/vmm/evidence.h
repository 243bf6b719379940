// SPDX-License-Identifier: MIT
/*
 * What is left of a domain that did not end well: registers, event channels, devices, last lines. It lies in the
 * record, so that the launcher has it when the machine is gone. Plain numbers and bounded text: the launcher prints
 * it, and believes nothing. Truth is a uint8_t here: what a hostile machine put into a bool would be undefined.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define EVIDENCE_MAX_VCPUS   32
#define EVIDENCE_MAX_PORTS   64
#define EVIDENCE_MAX_DEVICES 32
#define EVIDENCE_TAIL_BYTES  2048
#define EVIDENCE_STACK_WORDS 128
#define EVIDENCE_CALLS       16 /* of each vCPU */

/* The last bytes of a stream. One writer; kept while the domain runs, so it outlives even SIGKILL. */
struct evidence_tail {
	_Atomic uint32_t total_bytes; /* ever written, modulo 2^32; the place is that modulo EVIDENCE_TAIL_BYTES */
	char bytes[EVIDENCE_TAIL_BYTES];
};

struct evidence_registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags;
	uint16_t cs, ss;
};

struct evidence_vcpu {
	uint32_t number;
	uint32_t mp_state; /* KVM_MP_STATE_* */
	struct evidence_registers registers;
	uint64_t cr0, cr2, cr3, cr4, efer;
	/* In the shim (CPL 0) on behalf of its guest: what the guest's registers were when it entered the shim. */
	uint8_t has_guest_registers;
	struct evidence_registers guest;
	/* The guest kernel's stack from its rsp on; return addresses are among these words. */
	uint32_t n_stack_words;
	uint64_t stack[EVIDENCE_STACK_WORDS];
};

struct evidence_port {
	uint16_t port, kind, vcpu, virq; /* kind: enum evtchn_kind */
	uint8_t pending, masked;
};

struct evidence_device {
	char path[64]; /* below the domain's home: device/vbd/51712 */
	uint32_t frontend_state, backend_state; /* enum xenbus_state, 0: unknown */
	char note[120]; /* what keeps it from being connected: "ring-ref never written"; may be empty */
};

/* The hypercalls of a vCPU that came to us, the last ones; kept while the domain runs. One writer. */
struct evidence_calls {
	_Atomic uint32_t n; /* ever begun, modulo 2^32; the place is that modulo EVIDENCE_CALLS */
	struct evidence_call {
		uint64_t arguments[3];
		int64_t result;
		uint32_t number;
		uint32_t has_returned;
	} calls[EVIDENCE_CALLS];
};

struct evidence {
	_Atomic uint32_t collected; /* the parts below are there */
	uint32_t has_shim;
	uint32_t n_vcpus, n_ports, n_devices;
	struct evidence_vcpu vcpus[EVIDENCE_MAX_VCPUS];
	struct evidence_port ports[EVIDENCE_MAX_PORTS]; /* bound ones, lowest first */
	struct evidence_device devices[EVIDENCE_MAX_DEVICES];
	struct evidence_tail console, shim; /* always there */
	struct evidence_calls calls[EVIDENCE_MAX_VCPUS]; /* always there, too */
};

void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes);

struct vm;
struct xenstore;
/* In the machine's main thread, when no vCPU runs any more. store may be NULL. */
void evidence_collect(struct evidence *evidence, struct vm *vm, struct xenstore *store);
