// SPDX-License-Identifier: MIT
#include "xen/fake_kvm.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include <glib.h>

#include "lend/lent_ram.h"
#include "lend/peer.h"
#include "vmm/evidence.h"
#include "vmm/guest_memory.h"
#include "vmm/kvm.h"

#define MIB (UINT64_C(1) << 20)

struct fake fake;

void vm_end(struct vm *vm, enum outcome outcome, uint32_t status, const char *format, ...)
{
	(void)vm, (void)status, (void)format;
	fake.ends++;
	fake.outcome = outcome;
}

void vm_soft_reset(struct vm *vm)
{
	(void)vm;
	fake.soft_resets++;
}

void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes)
{
	(void)tail, (void)bytes, (void)len_bytes;
}

/* This one's RAM is its own. */
bool lent_ram_has(const struct vm *vm, uint64_t gpa)
{
	(void)vm, (void)gpa;
	return false;
}

bool lent_ram_copy(struct vcpu *vcpu, uint64_t gpa, void *bytes, size_t len_bytes, bool to_guest)
{
	(void)vcpu, (void)gpa, (void)bytes, (void)len_bytes, (void)to_guest;
	return false;
}

bool vcpu_translate(struct vcpu *vcpu, uint64_t gva, enum guest_access access, uint64_t *gpa)
{
	(void)vcpu, (void)access;
	*gpa = gva;
	return gva >= 4096;
}

int64_t vcpu_call(struct vcpu *target, struct vcpu *self, int64_t (*fn)(struct vcpu *target, void *argument),
		  void *argument, int64_t cancelled_result)
{
	(void)self, (void)cancelled_result;
	return fn(target, argument);
}

int64_t vcpu_run_alone(struct vcpu *self, int64_t (*fn)(struct vcpu *self, void *argument), void *argument,
		       int64_t cancelled_result)
{
	(void)cancelled_result;
	return fn(self, argument);
}

int kvm_set_xen_attr(int vm_fd, const struct kvm_xen_hvm_attr *attr)
{
	(void)vm_fd;
	if (attr->type == KVM_XEN_ATTR_TYPE_LONG_MODE)
		fake.long_mode = attr->u.long_mode;
	return 0;
}

int kvm_set_xen_vcpu_attr(int vcpu_fd, const struct kvm_xen_vcpu_attr *attr)
{
	(void)vcpu_fd, (void)attr;
	return 0;
}

static int answer(int fd, unsigned long request, void *argument)
{
	switch (request) {
	case KVM_XEN_HVM_GET_ATTR:
		((struct kvm_xen_hvm_attr *)argument)->u.long_mode = fake.long_mode;
		return 0;
	case KVM_XEN_HVM_EVTCHN_SEND:
		fake.delivered++;
		return 1;
	case KVM_GET_CLOCK:
		((struct kvm_clock_data *)argument)->clock = fake.clock_ns;
		return 0;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)argument)->mp_state = fake.mp_state[fd - 1000];
		return 0;
	case KVM_SET_MP_STATE:
		fake.mp_state[fd - 1000] = ((const struct kvm_mp_state *)argument)->mp_state;
		return 0;
	case KVM_XEN_VCPU_GET_ATTR:
		errno = EOPNOTSUPP;
		return -1;
	default:
		return 0;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;

	va_start(arguments, request);
	void *argument = va_arg(arguments, void *);
	va_end(arguments);
	return answer(fd, request, argument);
}

void fake_set_up(bool has_shim)
{
	static struct kvm_run run;
	struct layout layout;
	const struct xen_domain_config config = {
		.max_grant_frames = 4, .shim_log_fd = -1, .uuid = "00112233-4455-6677-8899-aabbccddeeff",
	};

	fake = (struct fake){ .long_mode = true, .vm = { .vm_fd = 999, .n_vcpus = 4, .has_shim = has_shim, .xen_version = 4u << 16 | 17 } };
	g_assert_true(layout_init(&layout, 64 * MIB, 32 * MIB, NULL));
	fake.vm.memory = guest_memory_new(&layout, NULL);
	fake.vm.record = record_new(0);
	g_assert_true(fake.vm.memory && fake.vm.record);
	fake.vm.xen = xen_domain_new(&fake.vm, &config, NULL);
	g_assert_nonnull(fake.vm.xen);
	for (unsigned int i = 0; i < 4; i++) {
		fake.vm.vcpus[i] = (struct vcpu){ .vm = &fake.vm, .number = i, .fd = 1000 + (int)i, .run = &run };
		fake.mp_state[i] = i == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
		hypercall_vcpu_starts(&fake.vm.vcpus[i]);
	}
}

void fake_tear_down(void)
{
	xen_domain_free(fake.vm.xen);
	guest_memory_free(fake.vm.memory);
}

int64_t fake_call(bool is_64bit, uint64_t number, uint64_t a0, uint64_t a1, uint64_t a2)
{
	const struct hypercall call = { .number = number, .is_64bit = is_64bit, .arguments = { a0, a1, a2 } };

	return hypercall_dispatch(&fake.vm.vcpus[0], &call);
}

void *fake_at(uint64_t gpa)
{
	return guest_memory_span(fake.vm.memory, gpa, 4096);
}

/* The guest of these tests lends to nobody. */
int64_t peer_run(struct peer *peer, struct dom1_lend_op *op)
{
	(void)peer, (void)op;
	g_assert_not_reached();
}
