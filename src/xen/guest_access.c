// SPDX-License-Identifier: MIT
#include "xen/guest_access.h"

#include <string.h>

#include <glib.h>

#include "lend/lent_ram.h"
#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/domain.h"
#include "xen/hypercall.h"
#include "xen/ring.h"

static size_t bytes_in_page(uint64_t gva, size_t len_bytes)
{
	return MIN(len_bytes, LAYOUT_PAGE_BYTES - gva % LAYOUT_PAGE_BYTES);
}

/* Where len_bytes of one page are: RAM, or a page of the hypervisor's that the guest has placed where there is none. */
static uint8_t *find(const struct vcpu *vcpu, uint64_t gpa, size_t len_bytes)
{
	uint8_t *hva = guest_memory_span(vcpu->vm->memory, gpa, len_bytes);

	if (hva)
		return hva;
	pthread_mutex_lock(&vcpu->vm->xen->lock);
	hva = pages_at(&vcpu->vm->xen->pages, gpa / LAYOUT_PAGE_BYTES);
	pthread_mutex_unlock(&vcpu->vm->xen->lock);
	return hva ? hva + gpa % LAYOUT_PAGE_BYTES : NULL;
}

/* Within a page. */
static bool copy_piece(struct vcpu *vcpu, uint64_t gpa, void *bytes, size_t len_bytes, bool to_guest)
{
	uint8_t *hva = find(vcpu, gpa, len_bytes);

	if (!hva)
		return lent_ram_copy(vcpu, gpa, bytes, len_bytes, to_guest);
	if (to_guest)
		memcpy(hva, bytes, len_bytes);
	else
		ring_copy_from(bytes, hva, len_bytes);
	return true;
}

bool copy_from_guest(struct vcpu *vcpu, void *destination, uint64_t gva, size_t len_bytes)
{
	uint8_t *to = destination;

	while (len_bytes > 0) {
		size_t piece_bytes = bytes_in_page(gva, len_bytes);
		uint64_t gpa;

		if (!vcpu_translate(vcpu, gva, GUEST_READ, &gpa) || !copy_piece(vcpu, gpa, to, piece_bytes, false))
			return false;
		to += piece_bytes;
		gva += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return true;
}

bool copy_to_guest(struct vcpu *vcpu, uint64_t gva, const void *source, size_t len_bytes)
{
	/* It is not written to. */
	uint8_t *from = (uint8_t *)(uintptr_t)source;

	while (len_bytes > 0) {
		size_t piece_bytes = bytes_in_page(gva, len_bytes);
		uint64_t gpa;

		if (!vcpu_translate(vcpu, gva, GUEST_WRITE, &gpa) || !copy_piece(vcpu, gpa, from, piece_bytes, true))
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
