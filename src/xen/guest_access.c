// SPDX-License-Identifier: MIT
#include "xen/guest_access.h"

#include <sys/ioctl.h>

#include <glib.h>
#include <linux/kvm.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/hypercall.h"

#define CR0_WP       (UINT64_C(1) << 16)
#define CR0_PG       (UINT64_C(1) << 31)
#define CR4_PSE      (UINT64_C(1) << 4)
#define CR4_PAE      (UINT64_C(1) << 5)
#define CR4_LA57     (UINT64_C(1) << 12)
#define EFER_LMA     (UINT64_C(1) << 10)
#define PTE_PRESENT  (UINT64_C(1) << 0)
#define PTE_WRITABLE (UINT64_C(1) << 1)
#define PTE_LARGE    (UINT64_C(1) << 7)
#define PTE_FRAME    UINT64_C(0x000ffffffffff000)

/*
 * Whether the guest's kernel itself could write there: KVM_TRANSLATE does not say. A table outside of RAM is none of our
 * business, the translation has the last word.
 */
static bool tables_let_write(const struct guest_memory *memory, const struct kvm_sregs *sregs, uint64_t gva)
{
	const bool is_long = (sregs->efer & EFER_LMA) != 0;
	const unsigned int levels = is_long ? (sregs->cr4 & CR4_LA57 ? 5 : 4) : sregs->cr4 & CR4_PAE ? 3 : 2;
	const unsigned int entry_bytes = levels == 2 ? 4 : 8, index_bits = levels == 2 ? 10 : 9;
	uint64_t table = levels == 2 ? sregs->cr3 & 0xfffff000 : levels == 3 ? sregs->cr3 & 0xffffffe0 : sregs->cr3 & PTE_FRAME;

	if (!(sregs->cr0 & CR0_PG) || !(sregs->cr0 & CR0_WP))
		return true;
	for (unsigned int level = levels; level > 0; level--) {
		uint64_t index = gva >> (12 + (level - 1) * index_bits) & ((1u << index_bits) - 1), entry = 0;
		bool is_pdpt = levels == 3 && level == 3; /* of PAE: without permissions, and with 4 entries */

		if (!guest_memory_read(memory, table + (is_pdpt ? index & 3 : index) * entry_bytes, &entry, entry_bytes))
			return true;
		if (!(entry & PTE_PRESENT) || (!is_pdpt && !(entry & PTE_WRITABLE)))
			return false;
		if (level > 1 && level <= 3 && !is_pdpt && (entry & PTE_LARGE) && (levels > 2 || (sregs->cr4 & CR4_PSE)))
			return true;
		table = entry & (levels == 2 ? 0xfffff000 : PTE_FRAME);
	}
	return true;
}

static bool may_write(struct vcpu *vcpu, uint64_t gva)
{
	struct kvm_sregs sregs = { 0 };

	return ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0 && tables_let_write(vcpu->vm->memory, &sregs, gva);
}

static size_t bytes_in_page(uint64_t gva, size_t len_bytes)
{
	return MIN(len_bytes, LAYOUT_PAGE_BYTES - gva % LAYOUT_PAGE_BYTES);
}

bool copy_from_guest(struct vcpu *vcpu, void *destination, uint64_t gva, size_t len_bytes)
{
	uint8_t *to = destination;

	while (len_bytes > 0) {
		size_t piece_bytes = bytes_in_page(gva, len_bytes);
		uint64_t gpa;

		if (!vcpu_translate(vcpu, gva, &gpa) || !guest_memory_read(vcpu->vm->memory, gpa, to, piece_bytes))
			return false;
		to += piece_bytes;
		gva += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return true;
}

bool copy_to_guest(struct vcpu *vcpu, uint64_t gva, const void *source, size_t len_bytes)
{
	const uint8_t *from = source;

	while (len_bytes > 0) {
		size_t piece_bytes = bytes_in_page(gva, len_bytes);
		uint64_t gpa;

		if (!vcpu_translate(vcpu, gva, &gpa) || !may_write(vcpu, gva) ||
		    !guest_memory_write(vcpu->vm->memory, gpa, from, piece_bytes))
			return false;
		from += piece_bytes;
		gva += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return true;
}

bool read_guest_struct(struct vcpu *vcpu, const struct hypercall *call, enum abi_layout layout, uint64_t gva, void *native)
{
	uint8_t guest[ABI_LAYOUT_MAX_BYTES];

	if (!copy_from_guest(vcpu, guest, gva, abi_layout_bytes(layout, call->is_64bit)))
		return false;
	abi_layout_decode(layout, call->is_64bit, guest, native);
	return true;
}

bool write_guest_struct(struct vcpu *vcpu, const struct hypercall *call, enum abi_layout layout, uint64_t gva,
			const void *native)
{
	uint8_t guest[ABI_LAYOUT_MAX_BYTES];

	abi_layout_encode(layout, call->is_64bit, native, guest);
	return copy_to_guest(vcpu, gva, guest, abi_layout_bytes(layout, call->is_64bit));
}

bool read_guest_word(struct vcpu *vcpu, const struct hypercall *call, uint64_t gva, uint64_t index, uint64_t *value)
{
	size_t word_bytes = call->is_64bit ? 8 : 4;

	*value = 0;
	return copy_from_guest(vcpu, value, gva + index * word_bytes, word_bytes);
}

bool write_guest_word(struct vcpu *vcpu, const struct hypercall *call, uint64_t gva, uint64_t index, uint64_t value)
{
	size_t word_bytes = call->is_64bit ? 8 : 4;

	return copy_to_guest(vcpu, gva + index * word_bytes, &value, word_bytes);
}
