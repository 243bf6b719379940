// SPDX-License-Identifier: MIT
/*
 * What the hypervisor says of itself. Source: <xen/version.h>, <xen/features.h>. As for an unprivileged domain under
 * Xen, command line and build id are refused.
 */
#include <string.h>

#include "xen/abi.h"
#include <xen/features.h>
#include <xen/version.h>

#include <glib.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"


/* Where a hypervisor would begin in the address space of a PV guest: fixed by the ABI for both word sizes. */
#define VIRT_START_64 UINT64_C(0xffff800000000000)
#define VIRT_START_32 UINT64_C(0xf5800000)

#define FEATURES                                                                                                      \
	(1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_writable_page_tables |                              \
	 1u << XENFEAT_auto_translated_physmap | 1u << XENFEAT_hvm_safe_pvclock | 1u << XENFEAT_hvm_callback_vector | \
	 1u << XENFEAT_runstate_phys_area | 1u << XENFEAT_vcpu_time_phys_area)

static int64_t answer(struct vcpu *vcpu, uint64_t gva, const void *bytes, size_t len_bytes)
{
	return copy_to_guest(vcpu, gva, bytes, len_bytes) ? 0 : -XEN_EFAULT;
}

/* A fixed-size field of the ABI, filled up with zeros. */
static int64_t answer_text(struct vcpu *vcpu, uint64_t gva, const char *text, size_t field_bytes)
{
	char field[1024] = "";

	g_assert(field_bytes <= sizeof(field));
	g_strlcpy(field, text, field_bytes);
	return answer(vcpu, gva, field, field_bytes);
}

static int64_t version(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)call;
	return vcpu->vm->xen_version;
}

static int64_t extraversion(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return answer_text(vcpu, call->arguments[1], ".0-dom1", XEN_EXTRAVERSION_LEN);
}

static int64_t compile_info(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	xen_compile_info_t info = { 0 };

	(void)xen;
	g_strlcpy(info.compiler, "dom1 " DOM1_VERSION, sizeof(info.compiler));
	g_strlcpy(info.compile_by, "dom1", sizeof(info.compile_by));
	g_strlcpy(info.compile_domain, "dom1", sizeof(info.compile_domain));
	return answer(vcpu, call->arguments[1], &info, sizeof(info));
}

static int64_t capabilities(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return answer_text(vcpu, call->arguments[1], "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ",
			   sizeof(xen_capabilities_info_t));
}

static int64_t changeset(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return answer_text(vcpu, call->arguments[1], "unavailable", sizeof(xen_changeset_info_t));
}

static int64_t platform_parameters(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return write_guest_word(vcpu, call, call->arguments[1], 0, call->is_64bit ? VIRT_START_64 : VIRT_START_32) ?
		       0 : -XEN_EFAULT;
}

static int64_t get_features(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	xen_feature_info_t info;

	(void)xen;
	if (!copy_from_guest(vcpu, &info, call->arguments[1], sizeof(info)))
		return -XEN_EFAULT;
	if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -XEN_EINVAL;
	info.submap = FEATURES;
	return answer(vcpu, call->arguments[1], &info, sizeof(info));
}

static int64_t pagesize(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen, (void)vcpu;
	/* The kernel asks with a null pointer; anybody else has misunderstood. */
	return call->arguments[1] == 0 ? 4096 : -XEN_EINVAL;
}

static int64_t guest_handle(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	return answer(vcpu, call->arguments[1], xen->uuid, sizeof(xen->uuid));
}

static int64_t commandline(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	(void)xen;
	return answer_text(vcpu, call->arguments[1], "<denied>", sizeof(xen_commandline_t));
}

static const struct hypercall_op OPS[] = {
	HYPERCALL_OP(XENVER_, version, version, "KVM answers it"),
	HYPERCALL_OP(XENVER_, extraversion, extraversion, NULL),
	HYPERCALL_OP(XENVER_, compile_info, compile_info, NULL),
	HYPERCALL_OP(XENVER_, capabilities, capabilities, NULL),
	HYPERCALL_OP(XENVER_, changeset, changeset, NULL),
	HYPERCALL_OP(XENVER_, platform_parameters, platform_parameters, NULL),
	HYPERCALL_OP(XENVER_, get_features, get_features, NULL),
	HYPERCALL_OP(XENVER_, pagesize, pagesize, NULL),
	HYPERCALL_OP(XENVER_, guest_handle, guest_handle, NULL),
	HYPERCALL_OP(XENVER_, commandline, commandline, "`<denied>`, as Xen"),
	HYPERCALL_REFUSE(XENVER_, build_id, XEN_EPERM, NULL),
};

HYPERCALL_FAMILY(xen_version, OPS);
