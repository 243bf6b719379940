// SPDX-License-Identifier: MIT
/*
 * The list of hypercalls. Numbers: <xen/xen.h>. What is refused here is what Xen 4.17 refuses to an unprivileged HVM or
 * PVH domain; a number that is not here is one that Xen has for PV guests only, and the answer is -ENOSYS.
 */
#include "xen/abi_table.h"

#include "xen/abi.h"

extern const struct hypercall_family HYPERCALL_memory_op, HYPERCALL_multicall, HYPERCALL_set_timer_op, HYPERCALL_xen_version,
	HYPERCALL_console_io, HYPERCALL_grant_table_op, HYPERCALL_vm_assist, HYPERCALL_vcpu_op, HYPERCALL_sched_op,
	HYPERCALL_event_channel_op, HYPERCALL_physdev_op, HYPERCALL_hvm_op;

#define REFUSED(identifier, e, remark)                                                                                \
	static const struct hypercall_family REFUSED_##identifier = {                                                 \
		.self = { #identifier, NULL, __HYPERVISOR_##identifier, HYPERCALL_REFUSED, e, remark },               \
	}

REFUSED(platform_op, XEN_EPERM, "of the control domain");
REFUSED(mmuext_op, XEN_EOPNOTSUPP, "page tables of PV guests");
REFUSED(xsm_op, XEN_ENOSYS, "as a Xen without FLASK");
REFUSED(sysctl, XEN_EPERM, "of the control domain");
REFUSED(domctl, XEN_EPERM, "of the control domain");
REFUSED(argo_op, XEN_EOPNOTSUPP, "as a Xen without argo, its default");
REFUSED(xenpmu_op, XEN_EOPNOTSUPP, "as a Xen without vpmu, its default");
REFUSED(dm_op, XEN_EPERM, "of device models");
REFUSED(hypfs_op, XEN_EPERM, "of the control domain");

static const struct hypercall_family *const FAMILIES[] = {
	&REFUSED_platform_op, &HYPERCALL_memory_op, &HYPERCALL_multicall, &HYPERCALL_set_timer_op, &HYPERCALL_xen_version,
	&HYPERCALL_console_io, &HYPERCALL_grant_table_op, &HYPERCALL_vm_assist, &HYPERCALL_vcpu_op, &REFUSED_mmuext_op,
	&REFUSED_xsm_op, &HYPERCALL_sched_op, &HYPERCALL_event_channel_op, &HYPERCALL_physdev_op, &HYPERCALL_hvm_op,
	&REFUSED_sysctl, &REFUSED_domctl, &REFUSED_argo_op, &REFUSED_xenpmu_op, &REFUSED_dm_op, &REFUSED_hypfs_op,
};

const struct hypercall_family *abi_table_family(uint64_t number)
{
	for (size_t i = 0; i < G_N_ELEMENTS(FAMILIES); i++)
		if (FAMILIES[i]->self.number == number)
			return FAMILIES[i];
	return NULL;
}

const struct hypercall_op *abi_table_op(const struct hypercall_family *family, uint64_t number)
{
	for (unsigned int i = 0; i < family->n_ops; i++)
		if (family->ops[i].number == number)
			return &family->ops[i];
	return NULL;
}

static const char *error_name(unsigned int error)
{
	switch (error) {
#undef XEN_ERRNO
#define XEN_ERRNO(name, value)                                                                                        \
	case value:                                                                                                   \
		return "-" #name;
	XEN_ERRNO(EPERM, XEN_EPERM)
	XEN_ERRNO(EINVAL, XEN_EINVAL)
	XEN_ERRNO(ENOSYS, XEN_ENOSYS)
	XEN_ERRNO(EOPNOTSUPP, XEN_EOPNOTSUPP)
	XEN_ERRNO(EACCES, XEN_EACCES)
	XEN_ERRNO(ESRCH, XEN_ESRCH)
#undef XEN_ERRNO
	default:
		return "?";
	}
}

static void add_row(GString *text, const char *family, const char *operation, const struct hypercall_op *op)
{
	static const char *const states[] = { "offered", "refused as Xen refuses it", "not offered" };

	g_string_append_printf(text, "| %u | `%s` | %s | ", op->number, operation ? operation : family, states[op->state]);
	if (op->state != HYPERCALL_OFFERED)
		g_string_append_printf(text, "`%s` | ", error_name(op->error));
	else
		g_string_append(text, "| ");
	g_string_append_printf(text, "%s |\n", op->note ? op->note : "");
}

#define TABLE_HEAD "| number | name | state | errno | remark |\n|---|---|---|---|---|\n"

/* What a remark is too short for. */
#define DIFFERENCES \
	"\n## Where it differs from Xen\n\n" \
	"- A page of the domain's own that it maps by a grant shows at both gfns. Xen takes it from its own one\n" \
	"  (`p2m_add_page()`), so that after the last unmap it is nowhere.\n" \
	"- Such a page moves into a file in memory when it is mapped first, with all other vCPUs out of the guest meanwhile:\n" \
	"  `GNTST_general_error` for a page that is granted to a back end as well, or that holds a vCPU's `vcpu_info`, which\n" \
	"  the kernel writes at any time. At most 1024 mappings, and 1024 pages mapped, at a time: `GNTST_no_space`. The\n" \
	"  special pages (console, xenstore) and those of the hypervisor are not mapped: `GNTST_bad_page`.\n" \
	"- What a guest writes into a mapping for reading does not reach the page; Xen throws it away, here it is kept in\n" \
	"  that mapping alone, which does not follow the page from then on. A mapping without write access would make KVM\n" \
	"  give up with `-EFAULT`, without an address.\n" \
	"- Where no page is in RAM (given up, unmapped), the guest reads zeros instead of all bits set: KVM has a slot there.\n" \
	"- A mapping or a page of the hypervisor's in the place of a mapped grant is refused; Xen ends the domain.\n" \
	"- The runstate and the time area of a vCPU must lie in one piece of guest-physical memory: `-EFAULT` else, because\n" \
	"  KVM takes one address.\n" \
	"- A domain all of whose vCPUs halt with interrupts off is powered off some seconds later, not at once: KVM does not\n" \
	"  say when a vCPU halts (`src/vmm/halt_watch.h`).\n"

GString *abi_table_markdown(void)
{
	GString *text = g_string_new(
		"# Hypercalls\n\n"
		"Made from the tables that dispatch them (`src/xen/abi_table.c`); a test fails when the two differ. To make it\n"
		"anew: `build/.../test-xen-abi_table --print >docs/abi.md`.\n\n"
		"The guest of this page is the one that KVM runs: a PVH guest, or the shim, which keeps the hypercalls of its PV\n"
		"guest to itself. Semantics are those of Xen 4.17 for an unprivileged HVM domain, in 64-bit and 32-bit layouts.\n"
		"*Refused as Xen refuses it*: Xen answers the same. *Not offered*: Xen has it, dom1 has not. Whatever is in no\n"
		"table is answered with `-ENOSYS`, and from user mode everything is `-EPERM`.\n\n"
		"## Without operations\n\n" TABLE_HEAD);

	for (size_t i = 0; i < G_N_ELEMENTS(FAMILIES); i++)
		if (!FAMILIES[i]->ops)
			add_row(text, FAMILIES[i]->self.name, NULL, &FAMILIES[i]->self);
	for (size_t i = 0; i < G_N_ELEMENTS(FAMILIES); i++) {
		const struct hypercall_family *family = FAMILIES[i];

		if (!family->ops)
			continue;
		g_string_append_printf(text, "\n## %s (%u)\n\n" TABLE_HEAD, family->self.name, family->self.number);
		for (unsigned int j = 0; j < family->n_ops; j++)
			add_row(text, family->self.name, family->ops[j].name, &family->ops[j]);
	}
	g_string_append(text, DIFFERENCES);
	return text;
}
