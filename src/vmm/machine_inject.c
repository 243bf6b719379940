// SPDX-License-Identifier: MIT
/* Faults that come at their time: devices that vanish, a balloon's targets, a clock that jumps. Main thread. */
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "inject/inject.h"
#include "vmm/machine_state.h"
#include "xen/domid.h"
#include "xen/xenstore/xenstore.h"

struct timed_fault {
	struct machine *machine;
	const struct inject_rule *rule;
	struct inject_stream stream;
	uint64_t n_done;
	guint source;
};

static void vanish(struct timed_fault *fault)
{
	struct machine *machine = fault->machine;
	const struct inject_rule *rule = fault->rule;
	bool ok = false;

	if (!rule->is_vif)
		ok = machine_vanish_disk(machine, rule->target);
	for (size_t i = 0; rule->is_vif && machine->nets && i < machine->setup->n_nics; i++)
		if (machine->setup->nics[i].number == rule->target)
			ok = net_device_vanish(machine->nets[i]);
	if (ok)
		inject_count(machine->setup->config->inject, INJECT_DEVICES_VANISHED);
	else
		machine_say(machine, "--inject=%s: the guest uses no such device", rule->text);
}

static void move_balloon(struct timed_fault *fault)
{
	const struct inject_rule *rule = fault->rule;
	const uint64_t mib = inject_stream_between(&fault->stream, rule->low_bytes >> 20, rule->high_bytes >> 20);

	if (xenstore_printf(fault->machine->store, "/local/domain/1/memory/target", "%" G_GUINT64_FORMAT, mib * 1024) == 0)
		inject_count(fault->machine->setup->config->inject, INJECT_BALLOON_MOVES);
}

/* The TSC is what guests compute the time between two updates of their clock from: it goes with that. */
/* syscalls(vcpu): ioctl(KVM_GET_DEVICE_ATTR) ioctl(KVM_SET_DEVICE_ATTR) */
static int64_t jump_tsc(struct vcpu *vcpu, void *argument)
{
	const uint64_t *jump_ms = argument;
	const uint64_t jump_ticks = *jump_ms * vcpu->vm->tsc_khz;
	uint64_t offset;
	const struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET,
					      .addr = (uint64_t)(uintptr_t)&offset };

	if (ioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr) != 0)
		return -1;
	offset += jump_ticks;
	return ioctl(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr);
}

/* As after a host that slept: every clock of the guest is further on. All vCPUs rest meanwhile. */
/* syscalls(main): ioctl(KVM_GET_CLOCK) ioctl(KVM_SET_CLOCK) */
static void jump_time(struct timed_fault *fault)
{
	struct machine *machine = fault->machine;
	struct vm *vm = &machine->vm;
	struct kvm_clock_data clock = { 0 };
	uint64_t jump_ms = fault->rule->jump_ms;
	const bool was_paused = vm->paused;
	bool ok = true;

	vcpu_pause_all(vm, true);
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		ok = vcpu_call(&vm->vcpus[i], NULL, jump_tsc, &jump_ms, -1) == 0 && ok;
	ok = ok && ioctl(vm->vm_fd, KVM_GET_CLOCK, &clock) == 0;
	clock = (struct kvm_clock_data){ .clock = clock.clock + jump_ms * 1000000 };
	ok = ok && ioctl(vm->vm_fd, KVM_SET_CLOCK, &clock) == 0;
	if (!was_paused)
		vcpu_pause_all(vm, false);
	if (ok)
		inject_count(machine->setup->config->inject, INJECT_TIME_JUMPS);
	else
		machine_say(machine, "--inject=%s: this host's KVM cannot move the guest's clock", fault->rule->text);
}

static gboolean on_time(gpointer opaque)
{
	struct timed_fault *fault = opaque;
	const struct inject_rule *rule = fault->rule;

	if (rule->kind == INJECT_DEVICE)
		vanish(fault);
	else if (rule->kind == INJECT_BALLOON)
		move_balloon(fault);
	else
		jump_time(fault);
	fault->n_done++;
	fault->source = rule->every_ms > 0 && fault->n_done != rule->count ?
				g_timeout_add((guint)MIN(rule->every_ms, G_MAXINT), on_time, fault) : 0;
	return G_SOURCE_REMOVE;
}

static void fault_free(void *opaque)
{
	struct timed_fault *fault = opaque;

	if (fault->source)
		g_source_remove(fault->source);
	g_free(fault);
}

void machine_start_faults(struct machine *machine)
{
	const struct inject_plan *plan = machine->setup->config->inject;

	for (size_t i = 0; plan && i < plan->n_rules; i++) {
		const struct inject_rule *rule = &plan->rules[i];
		struct timed_fault *fault;

		if (rule->kind != INJECT_DEVICE && rule->kind != INJECT_BALLOON && rule->kind != INJECT_TIME)
			continue;
		if (!machine->faults)
			machine->faults = g_ptr_array_new_with_free_func(fault_free);
		fault = g_new0(struct timed_fault, 1);
		fault->machine = machine;
		fault->rule = rule;
		fault->stream = inject_stream_of(plan, rule, "timed");
		fault->source = g_timeout_add((guint)MIN(rule->at_ms ? rule->at_ms : rule->every_ms, G_MAXINT), on_time, fault);
		g_ptr_array_add(machine->faults, fault);
	}
}

void machine_stop_faults(struct machine *machine)
{
	g_clear_pointer(&machine->faults, g_ptr_array_unref);
}
