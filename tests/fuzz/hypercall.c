// SPDX-License-Identifier: MIT
/* Hypercalls of any number with any arguments, in both word sizes and from any ring, on memory with any bytes in it. */
#include <string.h>

#include <glib.h>

#include "bytes.h"
#include "xen/fake_kvm.h"

#define FIRST_GPA UINT64_C(0x200000)
#define N_PAGES   4u
#define STEPS_MAX 64u

static const uint8_t NUMBERS[] = {
	__HYPERVISOR_memory_op, __HYPERVISOR_set_timer_op, __HYPERVISOR_xen_version, __HYPERVISOR_console_io,
	__HYPERVISOR_grant_table_op, __HYPERVISOR_vm_assist, __HYPERVISOR_vcpu_op, __HYPERVISOR_sched_op,
	__HYPERVISOR_event_channel_op, __HYPERVISOR_physdev_op, __HYPERVISOR_hvm_op, __HYPERVISOR_multicall,
};

/* An address in one of the pages, near the end of one, or none; or a small number; or anything. */
static uint64_t argument(struct input *input)
{
	const uint8_t what = next(input);

	switch (what & 7) {
	case 0:
		return (uint64_t)next32(input) << 32 | next32(input);
	case 1:
		return UINT64_MAX - next(input);
	case 2:
	case 3:
		return next(input);
	case 4:
		return FIRST_GPA + (next(input) % N_PAGES + 1) * 4096u - next(input) % 64u;
	default:
		return FIRST_GPA + next(input) % N_PAGES * 4096u + (next(input) & ~7u);
	}
}

static void write_words(struct input *input)
{
	uint8_t *at = fake_at(FIRST_GPA + next(input) % N_PAGES * 4096u + (next(input) & ~3u));

	for (unsigned int n = next(input) % 16u; n > 0; n--, at += 8) {
		const uint64_t word = argument(input);

		memcpy(at, &word, sizeof(word));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };

	fake_set_up(next(&input) & 1);
	for (unsigned int i = 0; i < STEPS_MAX && input.at < input.end; i++) {
		const uint8_t what = next(&input);

		if (what & 1) {
			write_words(&input);
			continue;
		}
		struct hypercall call = {
			.number = what & 2 ? NUMBERS[next(&input) % sizeof(NUMBERS)] : next(&input),
			.is_64bit = what & 4,
			.cpl = (what & 0xf8) == 0 ? 3 : 0,
		};
		call.arguments[0] = next(&input) & 3 ? next(&input) % 48u : argument(&input);
		for (unsigned int j = 1; j < 6; j++)
			call.arguments[j] = argument(&input);
		const int64_t result = hypercall_dispatch(&fake.vm.vcpus[0], &call);
		g_assert_true(call.cpl == 0 || result == -XEN_EPERM);
	}
	fake_tear_down();
	return 0;
}
