// SPDX-License-Identifier: MIT
/*
 * From KVM's exit to the operation a guest asked for.
 *
 * Every hypercall is a struct hypercall_family, most of them with a table of operations; abi_table.c lists them all, and
 * docs/abi.md is made of that list. What a table does not have is not offered, and what Xen refuses to a domain like
 * this one stands there with Xen's errno. One file a family; the guest's arguments are guest-virtual addresses and
 * numbers as the guest gave them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu;
struct xen_domain;

struct hypercall {
	uint64_t number;
	uint64_t arguments[6];
	uint32_t cpl;
	bool is_64bit;
	bool in_multicall;
};

typedef int64_t (*hypercall_fn)(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call);

/* NOT_OFFERED: Xen has it for a guest like this one, and dom1 has not. */
enum hypercall_state { HYPERCALL_OFFERED, HYPERCALL_REFUSED, HYPERCALL_NOT_OFFERED };

struct hypercall_op {
	const char *name;
	hypercall_fn handler; /* of OFFERED */
	uint16_t number;
	uint8_t state;        /* enum hypercall_state */
	uint8_t error;        /* XEN_E*, of the other states */
	const char *note;     /* for docs/abi.md; may be NULL */
};

#define HYPERCALL_OP(prefix, op, fn, remark)      { #op, fn, prefix##op, HYPERCALL_OFFERED, 0, remark }
#define HYPERCALL_REFUSE(prefix, op, e, remark)   { #op, NULL, prefix##op, HYPERCALL_REFUSED, e, remark }
#define HYPERCALL_NOT_HERE(prefix, op, e, remark) { #op, NULL, prefix##op, HYPERCALL_NOT_OFFERED, e, remark }

struct hypercall_family {
	struct hypercall_op self;       /* name, number and, of a family without operations, the rest */
	const struct hypercall_op *ops; /* NULL: none */
	uint16_t n_ops;
	uint8_t unknown_error;  /* of an operation that is not in the table */
	uint8_t op_argument;    /* which argument names the operation */
	uint32_t op_mask;       /* 0: all 32 bits */
	/* What is wrong whatever the operation: a negative errno, or 0. NULL: nothing is checked first. */
	hypercall_fn check;
};

#define HYPERCALL_FAMILY(identifier, table)                                                                           \
	const struct hypercall_family HYPERCALL_##identifier = {                                                      \
		.self = { .name = #identifier, .number = __HYPERVISOR_##identifier },                                  \
		.ops = table,                                                                                         \
		.n_ops = sizeof(table) / sizeof((table)[0]),                                                          \
		.unknown_error = XEN_ENOSYS,                                                                          \
	}

/* In the vCPU's own thread. The result is what the guest finds in its register: 0 or more, or a negative Xen errno. */
int64_t hypercall_dispatch(struct vcpu *vcpu, const struct hypercall *call);

/* One entry of a multicall: the same without the count and the phase. */
int64_t hypercall_run(struct vcpu *vcpu, const struct hypercall *call);

/* First thing in a vCPU's thread, or while it has none: its vcpu_info is in shared_info until it registers another. */
void hypercall_vcpu_starts(struct vcpu *vcpu);
