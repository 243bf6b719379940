// SPDX-License-Identifier: MIT
/*
 * What the hypervisor says of itself. Source: <xen/version.h>, <xen/features.h>. As for an unprivileged domain under
 * Xen, command line and build id are refused.
 */
#include <assert.h>
#include <string.h>

#include "xen/abi.h"
#include <xen/features.h>
#include <xen/version.h>

#include <glib.h>

#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/hypercall.h"

static_assert(sizeof(xen_compile_info_t) == 144, "<xen/version.h>");
static_assert(sizeof(xen_feature_info_t) == 8, "<xen/version.h>");

/* Xen keeps the last 256 MiB of a 32-bit address space free of it; the start for 64 bits is fixed by the ABI. */
#define VIRT_START_64 UINT64_C(0xffff800000000000)

#define FEATURES                                                                                                      \
	(1u << XENFEAT_memory_op_vnode_supported | 1u << XENFEAT_writable_page_tables |                              \
	 1u << XENFEAT_auto_translated_physmap | 1u << XENFEAT_hvm_safe_pvclock | 1u << XENFEAT_hvm_callback_vector)

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

static int64_t get_features(struct vcpu *vcpu, uint64_t gva)
{
	xen_feature_info_t info;

	if (!copy_from_guest(vcpu, &info, gva, sizeof(info)))
		return -XEN_EFAULT;
	if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
		return -XEN_EINVAL;
	info.submap = FEATURES;
	return answer(vcpu, gva, &info, sizeof(info));
}

static int64_t compile_info(struct vcpu *vcpu, uint64_t gva)
{
	xen_compile_info_t info = { 0 };

	g_strlcpy(info.compiler, "dom1 " DOM1_VERSION, sizeof(info.compiler));
	g_strlcpy(info.compile_by, "dom1", sizeof(info.compile_by));
	g_strlcpy(info.compile_domain, "dom1", sizeof(info.compile_domain));
	return answer(vcpu, gva, &info, sizeof(info));
}

int64_t hypercall_xen_version(struct xen_domain *xen, struct vcpu *vcpu, const struct hypercall *call)
{
	const uint32_t version = vcpu->vm->xen_version;
	const uint64_t virt_start = VIRT_START_64;
	const uint64_t gva = call->arguments[1];
	char capabilities[128];

	switch (call->arguments[0]) {
	case XENVER_version:
		return version;
	case XENVER_extraversion:
		return answer_text(vcpu, gva, ".0-dom1", XEN_EXTRAVERSION_LEN);
	case XENVER_compile_info:
		return compile_info(vcpu, gva);
	case XENVER_capabilities:
		g_snprintf(capabilities, sizeof(capabilities), "hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ");
		return answer_text(vcpu, gva, capabilities, sizeof(xen_capabilities_info_t));
	case XENVER_changeset:
		return answer_text(vcpu, gva, "unavailable", sizeof(xen_changeset_info_t));
	case XENVER_platform_parameters:
		return answer(vcpu, gva, &virt_start, sizeof(virt_start));
	case XENVER_get_features:
		return get_features(vcpu, gva);
	case XENVER_pagesize:
		return 4096;
	case XENVER_guest_handle:
		return answer(vcpu, gva, xen->uuid, sizeof(xen->uuid));
	case XENVER_commandline:
		return answer_text(vcpu, gva, "<denied>", sizeof(xen_commandline_t));
	case XENVER_build_id:
		return -XEN_EPERM;
	default:
		return -XEN_ENOSYS;
	}
}
