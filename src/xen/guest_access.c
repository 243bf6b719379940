// SPDX-License-Identifier: MIT
#include "xen/guest_access.h"

#include <glib.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"

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

		if (!vcpu_translate(vcpu, gva, &gpa) || !guest_memory_write(vcpu->vm->memory, gpa, from, piece_bytes))
			return false;
		from += piece_bytes;
		gva += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return true;
}
