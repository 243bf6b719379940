// SPDX-License-Identifier: MIT
/*
 * A vCPU and a KVM for tests of hypercalls: addresses are guest-physical, ioctls are remembered or answered from
 * variables, and vm_end() is written down. Replaces vcpu.c, kvm.c, evidence.c and the parts of machine.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/hypercall.h"

struct fake {
	struct vm vm;
	unsigned int ends, soft_resets;
	uint32_t outcome; /* of the last vm_end() */
	bool long_mode;
	uint32_t mp_state[4];
	unsigned int delivered; /* events */
	uint64_t clock_ns;
};

extern struct fake fake; /* there is one KVM */

void fake_set_up(bool has_shim);
void fake_tear_down(void);

/* A hypercall of vCPU 0 from kernel mode. */
int64_t fake_call(bool is_64bit, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2);

/* Guest memory at gpa. */
void *fake_at(uint64_t gpa);
