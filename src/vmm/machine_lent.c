// SPDX-License-Identifier: MIT
/* What a domain starts with, into RAM that is lent: page by page, as its lender supplies it. A page that nobody has written is zeros. */
#include <string.h>

#include "lend/lent_ram.h"
#include "vmm/acpi.h"
#include "vmm/error.h"
#include "vmm/machine_state.h"
#include "vmm/read_whole.h"

struct loading {
	const struct machine *machine;
	GError **error;
	bool loaded;
};

static bool load_bytes(struct vcpu *vcpu, uint64_t gpa, const uint8_t *bytes, size_t len_bytes)
{
	uint8_t page[LAYOUT_PAGE_BYTES];

	while (len_bytes > 0) {
		size_t piece_bytes = MIN(len_bytes, LAYOUT_PAGE_BYTES - gpa % LAYOUT_PAGE_BYTES);

		memcpy(page, bytes, piece_bytes);
		if (!lent_ram_copy(vcpu, gpa, page, piece_bytes, true))
			return false;
		gpa += piece_bytes;
		bytes += piece_bytes;
		len_bytes -= piece_bytes;
	}
	return true;
}

static bool load_segment(struct vcpu *vcpu, const struct boot_segment *segment, GError **error)
{
	uint8_t page[LAYOUT_PAGE_BYTES];

	if (!segment->has_file)
		return load_bytes(vcpu, segment->gpa, segment->bytes, segment->len_bytes);
	for (uint64_t done = 0; done < segment->len_bytes;) {
		uint64_t gpa = segment->gpa + done;
		size_t piece_bytes = MIN(segment->len_bytes - done, LAYOUT_PAGE_BYTES - gpa % LAYOUT_PAGE_BYTES);

		if (!read_whole(segment->file_fd, page, piece_bytes, segment->file_offset_bytes + done)) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot load the %s: %s", segment->what, read_whole_reason());
			return false;
		}
		if (!lent_ram_copy(vcpu, gpa, page, piece_bytes, true))
			return false;
		done += piece_bytes;
	}
	return true;
}

static void load(struct vcpu *vcpu, void *argument)
{
	struct loading *loading = argument;
	const struct boot_plan *plan = loading->machine->setup->plan;
	g_autofree uint8_t *tables = g_malloc0(LAYOUT_ACPI_MAX_BYTES);

	for (size_t i = 0; i < plan->n_segments; i++)
		if (!load_segment(vcpu, &plan->segments[i], loading->error))
			return;
	size_t len_bytes = acpi_build(tables, LAYOUT_ACPI_MAX_BYTES, LAYOUT_ACPI_GPA, loading->machine->vm.n_vcpus, NULL);
	g_assert(len_bytes > 0);
	loading->loaded = load_bytes(vcpu, LAYOUT_ACPI_GPA, tables, LAYOUT_ACPI_MAX_BYTES);
}

bool machine_load_lent(struct machine *machine, GError **error)
{
	struct loading loading = { machine, error, false };

	if (!lent_ram_load(machine->vm.lending, load, &loading, error))
		return false;
	if (!loading.loaded && error && !*error)
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_HOST, "--memory-lent: what the guest starts with does not fit its RAM");
	return loading.loaded;
}
