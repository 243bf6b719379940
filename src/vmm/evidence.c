// SPDX-License-Identifier: MIT
#include "vmm/evidence.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include <glib.h>

#include "vmm/guest_memory.h"
#include "vmm/vm.h"
#include "xen/abi.h"
#include <xen/io/xenbus.h>
#include "xen/domain.h"
#include "xen/guest_access.h"
#include "xen/shared_info.h"
#include "xen/xenstore/xenstore.h"

/*
 * The shim, as Xen, has a stack of 32 KiB for each CPU; the guest's registers lie near its top, in a struct
 * cpu_user_regs of the public header. How far below the top depends on Xen's version, so the frame is looked for.
 */
#define XEN_STACK_BYTES       (UINT64_C(8) * 4096)
#define XEN_STACK_TOP_BYTES   512
#define PV_GUEST_KERNEL_CS    0xe033
#define PV_GUEST_USER_CS      0x33
#define KERNEL_HALF           (UINT64_C(1) << 63)

void evidence_tail_add(struct evidence_tail *tail, const void *bytes, uint32_t len_bytes)
{
	const char *from = bytes;
	uint32_t total_bytes = atomic_load_explicit(&tail->total_bytes, memory_order_relaxed);

	if (len_bytes > EVIDENCE_TAIL_BYTES) {
		from += len_bytes - EVIDENCE_TAIL_BYTES;
		total_bytes += len_bytes - EVIDENCE_TAIL_BYTES;
		len_bytes = EVIDENCE_TAIL_BYTES;
	}
	for (uint32_t i = 0; i < len_bytes; i++)
		tail->bytes[(total_bytes + i) % EVIDENCE_TAIL_BYTES] = from[i];
	atomic_store_explicit(&tail->total_bytes, total_bytes + len_bytes, memory_order_release);
}

static bool plausible_frame(const struct cpu_user_regs *frame)
{
	if (frame->cs == PV_GUEST_KERNEL_CS)
		return frame->rip >= KERNEL_HALF && frame->rsp >= KERNEL_HALF;
	return frame->cs == PV_GUEST_USER_CS && frame->rip < KERNEL_HALF;
}

static void find_guest_registers(struct evidence_vcpu *vcpu, struct vcpu *source)
{
	uint8_t top[XEN_STACK_TOP_BYTES];
	uint64_t end = (vcpu->registers.rsp | (XEN_STACK_BYTES - 1)) + 1;

	if (vcpu->registers.rsp < KERNEL_HALF || !copy_from_guest(source, top, end - sizeof(top), sizeof(top)))
		return;
	for (size_t at = sizeof(top) - sizeof(struct cpu_user_regs); at > 0; at -= sizeof(uint64_t)) {
		struct cpu_user_regs f;

		memcpy(&f, top + at, sizeof(f));
		if (!plausible_frame(&f))
			continue;
		vcpu->guest = (struct evidence_registers){
			f.rax, f.rbx, f.rcx, f.rdx, f.rsi, f.rdi, f.rbp, f.rsp, f.r8, f.r9,
			f.r10, f.r11, f.r12, f.r13, f.r14, f.r15, f.rip, f.rflags, f.cs, f.ss,
		};
		vcpu->has_guest_registers = true;
		return;
	}
}

/* As far as it is mapped: to the end of its page at least. */
static void copy_guest_stack(struct evidence_vcpu *vcpu, struct vcpu *source)
{
	const struct evidence_registers *registers = vcpu->has_guest_registers ? &vcpu->guest : &vcpu->registers;

	if (source->vm->has_shim ? registers->cs != PV_GUEST_KERNEL_CS : (registers->cs & 3) != 0)
		return;
	while (vcpu->n_stack_words < EVIDENCE_STACK_WORDS &&
	       copy_from_guest(source, &vcpu->stack[vcpu->n_stack_words],
			       registers->rsp + vcpu->n_stack_words * sizeof(uint64_t), sizeof(uint64_t)))
		vcpu->n_stack_words++;
}

/* syscalls(main): ioctl(KVM_GET_REGS) ioctl(KVM_GET_SREGS) ioctl(KVM_GET_MP_STATE) */
static void collect_vcpu(struct evidence_vcpu *vcpu, struct vcpu *source)
{
	struct kvm_mp_state mp_state = { 0 };
	struct kvm_sregs sregs = { 0 };
	struct kvm_regs r = { 0 };

	*vcpu = (struct evidence_vcpu){ .number = source->number };
	if (ioctl(source->fd, KVM_GET_REGS, &r) != 0 || ioctl(source->fd, KVM_GET_SREGS, &sregs) != 0 ||
	    ioctl(source->fd, KVM_GET_MP_STATE, &mp_state) != 0)
		return;
	vcpu->mp_state = mp_state.mp_state;
	vcpu->registers = (struct evidence_registers){
		r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9,
		r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags, sregs.cs.selector, sregs.ss.selector,
	};
	vcpu->cr0 = sregs.cr0;
	vcpu->cr2 = sregs.cr2;
	vcpu->cr3 = sregs.cr3;
	vcpu->cr4 = sregs.cr4;
	vcpu->efer = sregs.efer;
	if (source->vm->has_shim && (sregs.cs.selector & 3) == 0)
		find_guest_registers(vcpu, source);
	copy_guest_stack(vcpu, source);
}

static void collect_ports(struct evidence *evidence, const struct xen_domain *xen)
{
	const void *shared_info = pages_shared_info(&xen->pages);
	const bool is_64bit = xen_domain_is_64bit(xen);

	for (uint32_t port = 1; port < shared_info_ports(is_64bit) && evidence->n_ports < EVIDENCE_MAX_PORTS; port++) {
		const struct evtchn_port *entry = &xen->events.ports[port];

		if (entry->kind == EVTCHN_FREE)
			continue;
		evidence->ports[evidence->n_ports++] = (struct evidence_port){
			.port = (uint16_t)port,
			.kind = entry->kind,
			.vcpu = entry->vcpu,
			.virq = entry->virq,
			.pending = shared_info_is_pending(shared_info, port),
			.masked = shared_info_is_masked(shared_info, is_64bit, port),
		};
	}
}

static uint32_t read_state(struct xenstore *store, const char *directory)
{
	g_autofree char *path = g_strdup_printf("%s/state", directory);
	void *value;
	size_t len_bytes;
	uint32_t state;

	if (xenstore_read(store, path, &value, &len_bytes) != 0)
		return 0;
	state = (uint32_t)strtoul(value, NULL, 10);
	free(value);
	return state;
}

static bool has_node(struct xenstore *store, const char *folder, const char *node)
{
	g_autofree char *path = g_strdup_printf("%s/%s", folder, node);
	void *value;
	size_t len_bytes;

	if (xenstore_read(store, path, &value, &len_bytes) != 0)
		return false;
	free(value);
	/* Some are there from the start, empty (xenbus_expect_quietly()). */
	return len_bytes > 0;
}

/* What a front end must write, by any of its names, before a back end can use its rings. Sources: <xen/io/blkif.h>, netif.h. */
static const struct {
	const char *class, *node;
	const char *others[4];
} NEEDED[] = {
	{ "vbd", "ring-ref", { "ring-ref0", "queue-0/ring-ref", "queue-0/ring-ref0" } },
	{ "vbd", "event-channel", { "queue-0/event-channel" } },
	{ "vif", "tx-ring-ref", { "queue-0/tx-ring-ref" } },
	{ "vif", "rx-ring-ref", { "queue-0/rx-ring-ref" } },
	{ "vif", "event-channel", { "event-channel-tx", "queue-0/event-channel", "queue-0/event-channel-tx" } },
	{ "console", "ring-ref", { NULL } },
	{ "console", "port", { NULL } },
};

/* For a device that is not connected: what is missing, and what its back end says of it. */
static void note_device(struct evidence_device *device, struct xenstore *store, const char *folder, const char *backend)
{
	g_auto(GStrv) words = g_strsplit(device->path, "/", 3);
	GString *note = g_string_new(NULL);

	for (size_t i = 0; words[0] && words[1] && i < G_N_ELEMENTS(NEEDED); i++) {
		bool there = has_node(store, folder, NEEDED[i].node);

		for (size_t j = 0; !there && j < G_N_ELEMENTS(NEEDED[i].others) && NEEDED[i].others[j]; j++)
			there = has_node(store, folder, NEEDED[i].others[j]);
		if (!there && strcmp(words[1], NEEDED[i].class) == 0)
			g_string_append_printf(note, "%s%s never written", note->len ? ", " : "", NEEDED[i].node);
	}
	g_autofree char *error_path = g_strdup_printf("%s/error", backend ? backend : "");
	size_t len_bytes;
	void *why;
	if (backend && xenstore_read(store, error_path, &why, &len_bytes) == 0) {
		g_string_append_printf(note, "%s%s", note->len ? ", " : "", (const char *)why);
		free(why);
	}
	g_strlcpy(device->note, note->str, sizeof(device->note));
	g_string_free(note, TRUE);
}

static void collect_device(struct evidence *evidence, struct xenstore *store, const char *home_path, const char *path)
{
	g_autofree char *full_path = g_strdup_printf("%s/%s", home_path, path);
	g_autofree char *backend_node = g_strdup_printf("%s/backend", full_path);
	struct evidence_device *device = &evidence->devices[evidence->n_devices];
	void *backend = NULL;
	size_t len_bytes;

	if (evidence->n_devices == EVIDENCE_MAX_DEVICES)
		return;
	evidence->n_devices++;
	g_strlcpy(device->path, path, sizeof(device->path));
	device->frontend_state = read_state(store, full_path);
	device->backend_state = 0;
	device->note[0] = '\0';
	if (xenstore_read(store, backend_node, &backend, &len_bytes) == 0)
		device->backend_state = read_state(store, backend);
	if (device->frontend_state != XenbusStateConnected || device->backend_state != XenbusStateConnected)
		note_device(device, store, full_path, backend);
	free(backend);
}

static void collect_devices(struct evidence *evidence, struct xenstore *store)
{
	static const char home[] = "/local/domain/1";
	char **classes;

	if (xenstore_directory(store, "/local/domain/1/device", &classes) != 0)
		return;
	for (size_t i = 0; classes[i]; i++) {
		g_autofree char *class_path = g_strdup_printf("%s/device/%s", home, classes[i]);
		char **names;

		if (xenstore_directory(store, class_path, &names) != 0)
			continue;
		for (size_t j = 0; names[j]; j++) {
			g_autofree char *path = g_strdup_printf("device/%s/%s", classes[i], names[j]);

			collect_device(evidence, store, home, path);
		}
		free(names);
	}
	free(classes);
}

void evidence_collect(struct evidence *evidence, struct vm *vm, struct xenstore *store)
{
	evidence->has_shim = vm->has_shim;
	evidence->n_vcpus = evidence->n_ports = evidence->n_devices = 0;
	for (unsigned int i = 0; i < vm->n_vcpus && vm->vcpus[i].fd >= 0; i++)
		collect_vcpu(&evidence->vcpus[evidence->n_vcpus++], &vm->vcpus[i]);
	if (vm->xen)
		collect_ports(evidence, vm->xen);
	if (store)
		collect_devices(evidence, store);
	atomic_store(&evidence->collected, 1);
}
