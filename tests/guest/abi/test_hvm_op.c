// SPDX-License-Identifier: MIT
/* Parameters and the rest of hvm_op. Source: <xen/hvm/hvm_op.h>, params.h; Xen 4.17's arch/x86/hvm/hvm.c. */
#include "guest.h"

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#define HOLE_GFN     0xd0000u
#define BAD_VCPU     500
#define LOW_VECTOR   0x0f /* the CPU's own exceptions end here */
#define CALLBACK     (UINT64_C(2) << 56 | UPCALL_VECTOR)
#define OP_UNKNOWN   99
#define MEM_TYPE_RAM 0 /* HVMMEM_ram_rw */
#define MEM_TYPE_MMIO 2 /* HVMMEM_mmio_dm */

SPARE_PAGE(ram);

static long get_param(unsigned int dom, uint32_t index, uint64_t *value)
{
	struct xen_hvm_param param = { .domid = (domid_t)dom, .index = index, .value = UINT64_C(0xdeadbeefdeadbeef) };
	long rc = hvm_op(HVMOP_get_param, &param);

	*value = param.value;
	return rc;
}

static long set_param(unsigned int dom, uint32_t index, uint64_t value)
{
	struct xen_hvm_param param = { .domid = (domid_t)dom, .index = index, .value = value };

	return hvm_op(HVMOP_set_param, &param);
}

/* hvmop_get_param(), hvm_allow_get_param(): what a guest may read of itself. */
static void check_get(void)
{
	struct xen_hvm_param *across = across_pages(sizeof(*across));
	uint64_t value;

	CHECK("get_param of STORE_PFN", get_param(DOMID_SELF, HVM_PARAM_STORE_PFN, &value), 0);
	CHECK_TRUE("it is a page", value != 0 && value < 0x100000);
	CHECK("get_param of STORE_EVTCHN", get_param(DOMID_SELF, HVM_PARAM_STORE_EVTCHN, &value), 0);
	CHECK_TRUE("it is a port", value != 0 && value < 1024);
	CHECK("get_param of CONSOLE_PFN", get_param(own_domid, HVM_PARAM_CONSOLE_PFN, &value), 0);
	CHECK("get_param of CONSOLE_EVTCHN", get_param(own_domid, HVM_PARAM_CONSOLE_EVTCHN, &value), 0);
	CHECK("get_param of CALLBACK_IRQ", get_param(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &value), 0);
	CHECK("it is 0 at first", value, 0);
	CHECK("get_param beyond the last", get_param(DOMID_SELF, HVM_NR_PARAMS, &value), -XEN_EINVAL);
	CHECK("get_param of the highest index", get_param(DOMID_SELF, ~0u, &value), -XEN_EINVAL);
	CHECK("get_param in no domain", get_param(NO_DOMAIN, HVM_PARAM_STORE_PFN, &value), -XEN_ESRCH);
	CHECK("an index is looked at before the domain", get_param(NO_DOMAIN, HVM_NR_PARAMS, &value), -XEN_EINVAL);
	CHECK("get_param of what is the toolstack's", get_param(DOMID_SELF, HVM_PARAM_IOREQ_PFN, &value), -XEN_EPERM);
	CHECK("get_param from nowhere", hvm_op(HVMOP_get_param, nowhere()), -XEN_EFAULT);
	*across = (struct xen_hvm_param){ .domid = DOMID_SELF, .index = HVM_PARAM_STORE_PFN, .value = 0 };
	CHECK("get_param across two pages", hvm_op(HVMOP_get_param, across), 0);
	(void)get_param(DOMID_SELF, HVM_PARAM_STORE_PFN, &value);
	CHECK_TRUE("says the same", across->value == value);
}

/* hvmop_set_param(), hvm_allow_set_param(). */
static void check_set(void)
{
	uint64_t value;

	CHECK("set_param of CALLBACK_IRQ", set_param(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, CALLBACK), 0);
	(void)get_param(DOMID_SELF, HVM_PARAM_CALLBACK_IRQ, &value);
	CHECK_TRUE("can be read back", value == CALLBACK);
	CHECK("set_param of STORE_PFN", set_param(DOMID_SELF, HVM_PARAM_STORE_PFN, 1), -XEN_EPERM);
	CHECK("set_param of CONSOLE_PFN", set_param(DOMID_SELF, HVM_PARAM_CONSOLE_PFN, 1), -XEN_EPERM);
	CHECK("set_param beyond the last", set_param(DOMID_SELF, HVM_NR_PARAMS, 1), -XEN_EINVAL);
	CHECK("set_param in no domain", set_param(NO_DOMAIN, HVM_PARAM_CALLBACK_IRQ, 0), -XEN_ESRCH);
	CHECK("set_param from nowhere", hvm_op(HVMOP_set_param, nowhere()), -XEN_EFAULT);
}

/* hvmop_set_evtchn_upcall_vector(): the vector is looked at first. */
static void check_upcall_vector(void)
{
	struct xen_hvm_evtchn_upcall_vector request = { .vcpu = 0, .vector = LOW_VECTOR };

	CHECK("an upcall vector of the CPU's", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), -XEN_EINVAL);
	request.vcpu = BAD_VCPU;
	CHECK("the vector is looked at first", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), -XEN_EINVAL);
	request.vector = UPCALL_VECTOR;
	CHECK("an upcall vector for no vCPU", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), -XEN_ENOENT);
	request.vcpu = 0;
	request.vector = LOW_VECTOR + 1;
	CHECK("the lowest upcall vector", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), 0);
	request.vector = 0xff;
	CHECK("the highest upcall vector", hvm_op(HVMOP_set_evtchn_upcall_vector, &request), 0);
	CHECK("an upcall vector from nowhere", hvm_op(HVMOP_set_evtchn_upcall_vector, nowhere()), -XEN_EFAULT);
}

/* do_hvm_op(): the small ones. */
static void check_others(void)
{
	struct xen_hvm_get_time time = { 0 };
	struct xen_hvm_get_mem_type type = {
		.domid = DOMID_SELF,
		.mem_type = 0xffff,
		.pfn = ADDRESS(ram) / PAGE_BYTES,
	};
	uint64_t before;

	CHECK("get_time", hvm_op(HVMOP_get_time, &time), 0);
	before = time.now;
	CHECK_TRUE("it is not 0", before != 0);
	(void)hvm_op(HVMOP_get_time, &time);
	CHECK_TRUE("it goes on", time.now > before);
	CHECK("get_time to nowhere", hvm_op(HVMOP_get_time, nowhere()), -XEN_EFAULT);
	CHECK("get_mem_type of RAM", hvm_op(HVMOP_get_mem_type, &type), 0);
	CHECK("says RAM", type.mem_type, MEM_TYPE_RAM);
	type.pfn = HOLE_GFN;
	CHECK("get_mem_type of a hole", hvm_op(HVMOP_get_mem_type, &type), 0);
	CHECK("says MMIO", type.mem_type, MEM_TYPE_MMIO);
	type.domid = NO_DOMAIN;
	CHECK("get_mem_type in no domain", hvm_op(HVMOP_get_mem_type, &type), -XEN_ESRCH);
	CHECK("get_mem_type from nowhere", hvm_op(HVMOP_get_mem_type, nowhere()), -XEN_EFAULT);
	if (hvm_op(HVMOP_flush_tlbs, NULL) == -XEN_ENOSYS)
		check_skipped("flush_tlbs", "on purpose not offered, so that guests send their own IPIs (docs/abi.md)");
	else
		CHECK("flush_tlbs", hvm_op(HVMOP_flush_tlbs, NULL), 0);
	CHECK("an operation that there is not", hvm_op(OP_UNKNOWN, nowhere()), -XEN_ENOSYS);
}

void test_hvm_op(void)
{
	check_get();
	check_set();
	check_upcall_vector();
	check_others();
}
