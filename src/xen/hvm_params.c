// SPDX-License-Identifier: MIT
#include "xen/hvm_params.h"

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"

enum { HOLE, TOOLSTACK = 1, READ = 2, WRITE = 4 };

/* READ and WRITE: the guest itself may. TOOLSTACK alone: it exists, and the guest is told that it may not. */
static const uint8_t RIGHTS[HVM_NR_PARAMS] = {
	[HVM_PARAM_CALLBACK_IRQ] = READ | WRITE,
	[HVM_PARAM_STORE_PFN] = READ,
	[HVM_PARAM_STORE_EVTCHN] = READ | WRITE,
	[HVM_PARAM_IOREQ_PFN] = TOOLSTACK,
	[HVM_PARAM_BUFIOREQ_PFN] = TOOLSTACK,
	[HVM_PARAM_VIRIDIAN] = TOOLSTACK,
	[HVM_PARAM_TIMER_MODE] = TOOLSTACK,
	[HVM_PARAM_HPET_ENABLED] = TOOLSTACK,
	[HVM_PARAM_IDENT_PT] = TOOLSTACK,
	[HVM_PARAM_ACPI_S_STATE] = TOOLSTACK,
	[HVM_PARAM_VM86_TSS] = READ | WRITE,
	[HVM_PARAM_VPT_ALIGN] = TOOLSTACK,
	[HVM_PARAM_CONSOLE_PFN] = READ,
	[HVM_PARAM_CONSOLE_EVTCHN] = READ | WRITE,
	[HVM_PARAM_ACPI_IOPORTS_LOCATION] = WRITE,
	[HVM_PARAM_PAGING_RING_PFN] = TOOLSTACK,
	[HVM_PARAM_MONITOR_RING_PFN] = TOOLSTACK,
	[HVM_PARAM_SHARING_RING_PFN] = TOOLSTACK,
	[HVM_PARAM_TRIPLE_FAULT_REASON] = TOOLSTACK,
	[HVM_PARAM_IOREQ_SERVER_PFN] = TOOLSTACK,
	[HVM_PARAM_NR_IOREQ_SERVER_PAGES] = TOOLSTACK,
	[HVM_PARAM_VM_GENERATION_ID_ADDR] = WRITE,
	[HVM_PARAM_ALTP2M] = READ,
	[HVM_PARAM_X87_FIP_WIDTH] = READ | WRITE,
	[HVM_PARAM_VM86_TSS_SIZED] = READ | WRITE,
	[HVM_PARAM_MCA_CAP] = TOOLSTACK,
};

void hvm_params_init(struct xen_domain *xen)
{
	const struct layout *layout = guest_memory_layout(xen->vm->memory);

	xen->params = (struct hvm_params){ 0 };
	xen->params.values[HVM_PARAM_STORE_PFN] = layout->xenstore_gpa / LAYOUT_PAGE_BYTES;
	xen->params.values[HVM_PARAM_STORE_EVTCHN] = xen->xenstore_port;
	xen->params.values[HVM_PARAM_CONSOLE_PFN] = layout->console_gpa / LAYOUT_PAGE_BYTES;
	xen->params.values[HVM_PARAM_CONSOLE_EVTCHN] = xen->console_port;
}

static int check(uint32_t index, uint8_t right)
{
	if (index >= HVM_NR_PARAMS || RIGHTS[index] == HOLE)
		return -XEN_EINVAL;
	return RIGHTS[index] & right ? 0 : -XEN_EPERM;
}

int hvm_params_get(const struct hvm_params *params, uint32_t index, uint64_t *value)
{
	int rc = check(index, READ);

	if (rc == 0)
		*value = params->values[index];
	return rc;
}

int hvm_params_set(struct hvm_params *params, uint32_t index, uint64_t value)
{
	int rc = check(index, WRITE);

	if (rc != 0)
		return rc;
	/* Bytes of the x87 instruction pointer that are kept: the CPU's choice, half or all. */
	if (index == HVM_PARAM_X87_FIP_WIDTH && value != 0 && value != 4 && value != 8)
		return -XEN_EINVAL;
	if (index == HVM_PARAM_ACPI_IOPORTS_LOCATION && value > 1)
		return -XEN_EINVAL;
	params->values[index] = value;
	return 0;
}
