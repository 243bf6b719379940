// SPDX-License-Identifier: MIT
/* The hypervisor's own console, on which the shim logs. Output only. Source: <xen/xen.h>, HYPERVISOR_console_io. */
#include "xen/abi.h"

#include <glib.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

static int64_t write_console(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	uint32_t len_bytes = (uint32_t)call->arguments[1];
	uint64_t gva = call->arguments[2];
	char piece[512];

	/* A guest may name any length: it holds its own vCPU only, and not when the domain ends. */
	while (len_bytes > 0 && !atomic_load(&vcpu->vm->stopping)) {
		size_t piece_bytes = MIN(len_bytes, sizeof(piece));

		if (!copy_from_guest(vcpu, piece, gva, piece_bytes))
			return -XEN_EFAULT;
		shim_log_write(&xen->shim_log, vcpu->vm, piece, piece_bytes);
		gva += piece_bytes;
		len_bytes -= (uint32_t)piece_bytes;
	}
	return 0;
}

/* Nobody types at the hypervisor's console. */
static int64_t read_console(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)vcpu, (void)call;
	return 0;
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(CONSOLEIO_, write, write_console, "goes to the shim's log; Xen takes it in debug builds"),
	HYPERCALL_OP(CONSOLEIO_, read, read_console, "never anything to read"),
};

HYPERCALL_FAMILY(console_io, OPS);
