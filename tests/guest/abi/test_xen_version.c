// SPDX-License-Identifier: MIT
/*
 * What the hypervisor tells of itself. Source: <xen/version.h>; do_xen_version() of Xen 4.17's common/kernel.c. What is
 * denied to an unprivileged domain is in xsm/dummy.h, xsm_xen_version().
 */
#include "guest.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/features.h>
#include <xen/version.h>

#define OP_UNKNOWN 99
#define CANARY     0x5a

static uint8_t buffer[4096 + 16];

/* The answer is field_bytes long, not one byte more; for a text it ends with a zero. */
static bool answers(unsigned int operation, size_t field_bytes)
{
	memset(buffer, CANARY, sizeof(buffer));
	return xen_version(operation, buffer) == 0 && buffer[field_bytes] == CANARY;
}

static bool is_text(size_t field_bytes)
{
	for (size_t i = 0; i < field_bytes; i++)
		if (buffer[i] == '\0')
			return true;
	return false;
}

static bool contains(const char *text)
{
	for (size_t i = 0; i < sizeof(buffer) - 64; i++) {
		size_t n = 0;

		while (text[n] && buffer[i + n] == (uint8_t)text[n])
			n++;
		if (!text[n])
			return true;
	}
	return false;
}

static void check_texts(void)
{
	CHECK_TRUE("extraversion", answers(XENVER_extraversion, sizeof(xen_extraversion_t)));
	CHECK_TRUE("is a text", is_text(sizeof(xen_extraversion_t)));
	CHECK_TRUE("capabilities", answers(XENVER_capabilities, sizeof(xen_capabilities_info_t)));
	CHECK_TRUE("name this machine", contains("hvm-3.0-x86_64"));
	CHECK_TRUE("changeset", answers(XENVER_changeset, sizeof(xen_changeset_info_t)));
	CHECK_TRUE("is a text", is_text(sizeof(xen_changeset_info_t)));
	CHECK_TRUE("compile_info", answers(XENVER_compile_info, sizeof(xen_compile_info_t)));
	CHECK_TRUE("is a text", is_text(sizeof(xen_compile_info_t)));
	/* xsm_xen_version(XSM_OTHER) refuses these two: one answers with a word, one with an error. */
	CHECK_TRUE("commandline", answers(XENVER_commandline, sizeof(xen_commandline_t)));
	CHECK_TRUE("is denied", contains("<denied>"));
	CHECK("build_id", xen_version(XENVER_build_id, buffer), -XEN_EPERM);
}

static void check_numbers(void)
{
	uint32_t leaf[4];

	cpuid(XEN_CPUID_LEAF(1), leaf);
	CHECK("version is CPUID's", xen_version(XENVER_version, NULL), leaf[0]);
	CHECK("pagesize", xen_version(XENVER_pagesize, NULL), PAGE_BYTES);
	CHECK("pagesize takes no argument", xen_version(XENVER_pagesize, buffer), -XEN_EINVAL);
	/* One word of the caller's size: compat_platform_parameters_t is half as long. */
	CHECK_TRUE("platform_parameters", answers(XENVER_platform_parameters, sizeof(unsigned long)));
	CHECK_TRUE("guest_handle", answers(XENVER_guest_handle, sizeof(xen_domain_handle_t)));
}

static void check_features(void)
{
	xen_feature_info_t info = { .submap_idx = 0 };
	xen_feature_info_t *across = across_pages(sizeof(*across));

	CHECK("get_features", xen_version(XENVER_get_features, &info), 0);
	CHECK_TRUE("auto_translated_physmap", info.submap >> XENFEAT_auto_translated_physmap & 1);
	CHECK_TRUE("hvm_callback_vector", info.submap >> XENFEAT_hvm_callback_vector & 1);
	CHECK_TRUE("hvm_safe_pvclock", info.submap >> XENFEAT_hvm_safe_pvclock & 1);
	CHECK_TRUE("memory_op_vnode_supported", info.submap >> XENFEAT_memory_op_vnode_supported & 1);
	/* XENFEAT_runstate_phys_area and XENFEAT_vcpu_time_phys_area of Xen 4.18: VCPUOP_register_*_phys_area. */
	CHECK("areas by physical address", info.submap >> 18 & 3, 3);
	CHECK_TRUE("not dom0", !(info.submap >> XENFEAT_dom0 & 1));
	*across = (xen_feature_info_t){ .submap_idx = 0 };
	CHECK("get_features across two pages", xen_version(XENVER_get_features, across), 0);
	CHECK("says the same", across->submap, info.submap);
	info.submap_idx = XENFEAT_NR_SUBMAPS;
	CHECK("get_features of a map that there is not", xen_version(XENVER_get_features, &info), -XEN_EINVAL);
	info.submap_idx = ~0u;
	CHECK("get_features of the highest map", xen_version(XENVER_get_features, &info), -XEN_EINVAL);
}

static void check_addresses(void)
{
	char *across = across_pages(sizeof(xen_capabilities_info_t));

	CHECK("extraversion to nowhere", xen_version(XENVER_extraversion, nowhere()), -XEN_EFAULT);
	CHECK("capabilities to nowhere", xen_version(XENVER_capabilities, nowhere()), -XEN_EFAULT);
	CHECK("platform_parameters to nowhere", xen_version(XENVER_platform_parameters, nowhere()), -XEN_EFAULT);
	CHECK("get_features from nowhere", xen_version(XENVER_get_features, nowhere()), -XEN_EFAULT);
	CHECK("guest_handle to nowhere", xen_version(XENVER_guest_handle, nowhere()), -XEN_EFAULT);
	(void)answers(XENVER_capabilities, sizeof(xen_capabilities_info_t));
	CHECK("capabilities across two pages", xen_version(XENVER_capabilities, across), 0);
	CHECK_TRUE("say the same", memcmp(across, buffer, sizeof(xen_capabilities_info_t)) == 0);
	CHECK("an operation that there is not", xen_version(OP_UNKNOWN, buffer), -XEN_ENOSYS);
}

void test_xen_version(void)
{
	check_texts();
	check_numbers();
	check_features();
	check_addresses();
}
