// SPDX-License-Identifier: MIT
/* What the control socket may do with the machine. Main thread. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/domain_ops.h"
#include "vmm/error.h"
#include "vmm/json_members.h"
#include "vmm/machine_state.h"
#include "vmm/one_line.h"
#include "xen/domain.h"
#include "xen/shared_info.h"
#include "xen/xenstore/xenstore.h"

static void get_status(void *opaque, struct control_status *status)
{
	const struct machine *machine = opaque;
	const struct vm_config *config = machine->setup->config;

	*status = (struct control_status){
		.name = config->name,
		.uuid = machine->uuid,
		.type = config->type == GUEST_PVH ? "pvh" : "pv",
		.domid = GUEST_DOMID,
		.state = !machine->running ? CONTROL_SHUTDOWN : machine->vm.paused ? CONTROL_PAUSED : CONTROL_RUNNING,
		.pause_reason = machine->vm.paused ? machine->pause_reason : NULL,
		.max_vcpus = config->max_vcpus,
		.memory_kib = machine->setup->layout.ram_bytes / 1024,
		.uptime_ns = machine->running ? record_now_ns(machine->setup->record) - machine->started_ns : 0,
		.restarts = atomic_load(&machine->setup->record->generation),
	};
}

static struct xenstore *get_store(void *opaque)
{
	return ((struct machine *)opaque)->store;
}

static bool set_paused(struct machine *machine, bool paused, GError **error)
{
	if (!machine->running) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the domain is not running");
		return false;
	}
	g_clear_pointer(&machine->pause_reason, g_free);
	if (!paused)
		machine_retry_disks(machine);
	vcpu_pause_all(&machine->vm, paused);
	return true;
}

/* Of the terminal ask GLib's own messages, of main's. */
/* syscalls(main): write ioctl(TCGETS) */
void machine_say(const struct machine *machine, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *words = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_autofree char *text = one_line(words);
	/* The terminal is raw while the domain runs. */
	fprintf(stderr, "dom1: %s: %s%s\n", machine->setup->config->name, text, machine->says_to_terminal ? "\r" : "");
}

void machine_pause_for(struct machine *machine, const char *why)
{
	if (!set_paused(machine, true, NULL))
		return;
	machine->pause_reason = g_utf8_make_valid(why, -1);
	machine_say(machine, "paused: %s: make room, then dom1 unpause %s", why, machine->setup->config->name);
	control_server_event(machine->control, "PAUSE", json_pack("{s:o}", "reason", json_any_string(machine->pause_reason)));
}

static bool pause_domain(void *opaque, GError **error)
{
	return set_paused(opaque, true, error);
}

static bool unpause_domain(void *opaque, GError **error)
{
	return set_paused(opaque, false, error);
}

static bool destroy_domain(void *opaque, GError **error)
{
	struct machine *machine = opaque;

	(void)error;
	machine->told_to_stop = OUTCOME_DESTROYED;
	vm_end(&machine->vm, OUTCOME_DESTROYED, 0, NULL);
	return true;
}

/* syscalls(vcpu): ioctl(KVM_NMI) */
static int64_t inject_nmi(struct vcpu *target, void *argument)
{
	(void)argument;
	return ioctl(target->fd, KVM_NMI, 0);
}

/* VIRQ_DEBUG: makes Linux print its event channels. Only what the guest has bound can be raised. */
static bool raise_debug(struct xen_domain *xen, unsigned int vcpu)
{
	pthread_mutex_lock(&xen->lock);
	uint32_t port = xen->events.virq_port[vcpu][VIRQ_DEBUG];
	if (port)
		evtchn_kvm_deliver(xen->events_kvm, port);
	pthread_mutex_unlock(&xen->lock);
	return port != 0;
}

static bool trigger(void *opaque, enum control_trigger what, int vcpu, GError **error)
{
	struct machine *machine = opaque;
	unsigned int first = vcpu < 0 ? 0 : (unsigned int)vcpu;
	unsigned int end = vcpu < 0 ? machine->vm.n_vcpus : (unsigned int)vcpu + 1;
	bool raised = false;

	if (!machine->running) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the domain is not running");
		return false;
	}
	for (unsigned int i = first; i < end; i++)
		raised |= what == CONTROL_TRIGGER_NMI ?
				  vcpu_call(&machine->vm.vcpus[i], NULL, inject_nmi, NULL, -1) == 0 :
				  raise_debug(machine->vm.xen, i);
	if (!raised)
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE,
				    what == CONTROL_TRIGGER_NMI ? "KVM refused the NMI" :
								  "the guest has not bound VIRQ_DEBUG (in the shim it is the shim's)");
	return raised;
}

static bool event_channel(void *opaque, uint32_t port, struct control_event_channel *channel)
{
	static const char *const kinds[] = { "free", "unbound", "loopback", "backend", "virq", "ipi" };
	const struct machine *machine = opaque;
	struct xen_domain *xen = machine->vm.xen;

	if (!machine->running)
		return false;
	const void *shared_info = pages_shared_info(&xen->pages);
	const bool is_64bit = xen_domain_is_64bit(xen);
	if (port >= shared_info_ports(is_64bit))
		return false;
	pthread_mutex_lock(&xen->lock);
	const struct evtchn_port entry = xen->events.ports[port];
	pthread_mutex_unlock(&xen->lock);
	if (entry.kind == EVTCHN_FREE)
		return false;
	bool has_remote = entry.kind == EVTCHN_UNBOUND || entry.kind == EVTCHN_LOOPBACK || entry.kind == EVTCHN_BACKEND;
	*channel = (struct control_event_channel){
		.kind = kinds[entry.kind],
		.vcpu = entry.vcpu,
		.remote_domid = has_remote ? entry.remote_domid : -1,
		.remote_port = has_remote && entry.kind != EVTCHN_UNBOUND ? (int64_t)entry.remote_port : -1,
		.virq = entry.kind == EVTCHN_VIRQ ? entry.virq : -1,
		.pending = shared_info_is_pending(shared_info, port),
		.masked = shared_info_is_masked(shared_info, is_64bit, port),
	};
	return true;
}

const struct control_ops MACHINE_CONTROL_OPS = {
	.status = get_status,
	.store = get_store,
	.pause = pause_domain,
	.unpause = unpause_domain,
	.destroy = destroy_domain,
	.save = machine_save,
	.trigger = trigger,
	.event_channel = event_channel,
	.n_ports = EVTCHN_N_PORTS,
	.disk_attach = machine_attach_disk,
	.disk_detach = machine_detach_disk,
	.disk_eject = machine_eject_disk,
	.disk_resize = machine_resize_disk,
	.disk = machine_describe_disk,
};

void machine_control_tell_end(struct machine *machine)
{
	control_server_event(machine->control, "SHUTDOWN",
			     json_pack("{s:s}", "outcome", OUTCOME_NAMES[record_outcome(machine->setup->record)]));
}
