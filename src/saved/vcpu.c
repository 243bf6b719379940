// SPDX-License-Identifier: MIT
#include "saved/vcpu.h"

#include <string.h>

/* Bits that follow what the guest does with CR4, and say nothing of the CPU. */
#define LEAF1_ECX_OSXSAVE (1u << 27)
#define LEAF7_ECX_OSPKE   (1u << 4)

void saved_vcpu_write(GByteArray *to, const struct saved_vcpu *vcpu)
{
#define PUT(member) saved_put_block(to, &vcpu->member, sizeof(vcpu->member));
	SAVED_VCPU_STRUCTS(PUT)
#undef PUT
	saved_put_u64(to, vcpu->tsc_offset);
	saved_put_u32(to, vcpu->n_msrs);
	for (uint32_t i = 0; i < vcpu->n_msrs; i++) {
		saved_put_u32(to, vcpu->msrs[i].index);
		saved_put_u64(to, vcpu->msrs[i].data);
	}
	saved_put_block(to, vcpu->cpuid, vcpu->n_cpuid * sizeof(vcpu->cpuid[0]));
	saved_put_u8(to, vcpu->has_own_vcpu_info);
	saved_put_u8(to, vcpu->is_initialised);
	saved_put_u8(to, vcpu->upcall_vector);
	saved_put_u64(to, vcpu->vcpu_info_gpa);
	saved_put_u64(to, vcpu->time_gpa);
	saved_put_u64(to, vcpu->runstate_gpa);
	saved_put_u8(to, vcpu->has_runstate);
	for (size_t i = 0; i < G_N_ELEMENTS(vcpu->runstate); i++)
		saved_put_u64(to, vcpu->runstate[i]);
	saved_put_u32(to, vcpu->timer_port);
	saved_put_u64(to, vcpu->timer_expires_ns);
}

/* A struct of another size is of another kernel's. */
static void get_struct(struct saved_cursor *from, void *to, size_t len_bytes)
{
	size_t got_bytes;
	const uint8_t *bytes = saved_get_block(from, len_bytes, &got_bytes);

	from->failed |= got_bytes != len_bytes;
	if (!from->failed)
		memcpy(to, bytes, len_bytes);
}

static void get_cpuid(struct saved_cursor *from, struct saved_vcpu *vcpu)
{
	size_t len_bytes;
	const uint8_t *bytes = saved_get_block(from, sizeof(vcpu->cpuid), &len_bytes);

	from->failed |= len_bytes % sizeof(vcpu->cpuid[0]) != 0;
	vcpu->n_cpuid = (uint32_t)(len_bytes / sizeof(vcpu->cpuid[0]));
	if (bytes)
		memcpy(vcpu->cpuid, bytes, len_bytes);
}

bool saved_vcpu_read(struct saved_vcpu *vcpu, struct saved_cursor from)
{
	memset(vcpu, 0, sizeof(*vcpu));
#define GET(member) get_struct(&from, &vcpu->member, sizeof(vcpu->member));
	SAVED_VCPU_STRUCTS(GET)
#undef GET
	vcpu->tsc_offset = saved_get_u64(&from);
	vcpu->n_msrs = saved_get_count(&from, SAVED_MAX_MSRS);
	for (uint32_t i = 0; i < vcpu->n_msrs; i++) {
		vcpu->msrs[i].index = saved_get_u32(&from);
		vcpu->msrs[i].data = saved_get_u64(&from);
	}
	get_cpuid(&from, vcpu);
	vcpu->has_own_vcpu_info = saved_get_flag(&from);
	vcpu->is_initialised = saved_get_flag(&from);
	vcpu->upcall_vector = saved_get_u8(&from);
	vcpu->vcpu_info_gpa = saved_get_u64(&from);
	vcpu->time_gpa = saved_get_u64(&from);
	vcpu->runstate_gpa = saved_get_u64(&from);
	vcpu->has_runstate = saved_get_flag(&from);
	for (size_t i = 0; i < G_N_ELEMENTS(vcpu->runstate); i++)
		vcpu->runstate[i] = saved_get_u64(&from);
	vcpu->timer_port = saved_get_u32(&from);
	vcpu->timer_expires_ns = saved_get_u64(&from);
	return !saved_is_wrong(&from);
}

static const struct kvm_cpuid_entry2 *find_leaf(const struct kvm_cpuid_entry2 *entries, uint32_t n, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < n; i++)
		if (entries[i].function == function &&
		    (!(entries[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entries[i].index == index))
			return &entries[i];
	return NULL;
}

/* Who made the CPU: the guest has chosen VMCALL or VMMCALL by that, and much else. */
static bool is_same_vendor(const struct saved_vcpu *vcpu, const struct kvm_cpuid2 *now)
{
	const struct kvm_cpuid_entry2 *then_leaf = find_leaf(vcpu->cpuid, vcpu->n_cpuid, 0, 0);
	const struct kvm_cpuid_entry2 *now_leaf = find_leaf(now->entries, now->nent, 0, 0);

	return then_leaf && now_leaf && then_leaf->ebx == now_leaf->ebx && then_leaf->ecx == now_leaf->ecx &&
	       then_leaf->edx == now_leaf->edx;
}

char *saved_vcpu_lacks(const struct saved_vcpu *vcpu, const struct kvm_cpuid2 *now)
{
	/* Leaves of features, and in which of their registers a bit is one: EAX, EBX, ECX, EDX. Intel's and AMD's manuals. */
	static const struct {
		uint32_t function, index;
		uint32_t masks[4];
	} leaves[] = {
		{ 1, 0, { 0, 0, ~LEAF1_ECX_OSXSAVE, ~0u } },
		{ 7, 0, { 0, ~0u, ~LEAF7_ECX_OSPKE, ~0u } },
		{ 7, 1, { ~0u, ~0u, ~0u, ~0u } },
		{ 7, 2, { 0, 0, 0, ~0u } },
		{ 0xd, 0, { ~0u, 0, 0, ~0u } }, /* XCR0 */
		{ 0xd, 1, { ~0u, 0, ~0u, ~0u } },
		{ 0x80000001, 0, { 0, 0, ~0u, ~0u } },
		{ 0x80000007, 0, { 0, 0, 0, ~0u } },
		{ 0x80000008, 0, { 0, ~0u, 0, 0 } },
		{ 0x80000021, 0, { ~0u, 0, 0, 0 } },
	};
	static const char *const registers[] = { "EAX", "EBX", "ECX", "EDX" };

	if (!is_same_vendor(vcpu, now))
		return g_strdup("another maker's CPU");
	for (size_t i = 0; i < G_N_ELEMENTS(leaves); i++) {
		const struct kvm_cpuid_entry2 *old = find_leaf(vcpu->cpuid, vcpu->n_cpuid, leaves[i].function, leaves[i].index);
		const struct kvm_cpuid_entry2 *fresh = find_leaf(now->entries, now->nent, leaves[i].function, leaves[i].index);

		if (!old)
			continue;
		const uint32_t had[] = { old->eax, old->ebx, old->ecx, old->edx };
		const uint32_t has[] = { fresh ? fresh->eax : 0, fresh ? fresh->ebx : 0, fresh ? fresh->ecx : 0, fresh ? fresh->edx : 0 };
		for (unsigned int r = 0; r < G_N_ELEMENTS(had); r++) {
			uint32_t lost = had[r] & ~has[r] & leaves[i].masks[r];

			if (lost)
				return g_strdup_printf("CPUID leaf 0x%x, index %u, %s, bit %d", leaves[i].function, leaves[i].index, registers[r],
						       __builtin_ctz(lost));
		}
	}
	return NULL;
}
