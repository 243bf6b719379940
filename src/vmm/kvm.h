// SPDX-License-Identifier: MIT
/*
 * The host's KVM: what it offers, and making a VM of the kind dom1 needs.
 *
 * Split irqchip without I/O APIC pins: the kernel has the local APICs, and nobody has PIC, PIT, I/O APIC, RTC. Xen's
 * hypercalls are intercepted, event channels are the kernel's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <linux/kvm.h>

#include "vmm/guest_memory.h"

/* The MSR through which an older guest asks for its hypercall page; KVM fills the page. */
#define KVM_XEN_HYPERCALL_MSR 0x40000000u

/* What dom1 cannot do without: each of KVM_CAP_XEN_HVM's flags, Linux 6.9 or newer. */
#define KVM_XEN_FLAGS_NEEDED                                                                                          \
	(KVM_XEN_HVM_CONFIG_HYPERCALL_MSR | KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_SHARED_INFO |      \
	 KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND | KVM_XEN_HVM_CONFIG_SHARED_INFO_HVA)

struct kvm_xen_flag {
	uint32_t flag;
	const char *name;
	const char *meaning;
};
extern const struct kvm_xen_flag KVM_XEN_FLAGS[];
extern const size_t N_KVM_XEN_FLAGS;
/* The names of those that are needed and not in xen_flags, for a person; g_free(). */
char *kvm_missing_xen_flags(uint32_t xen_flags);

/*
 * Opens /dev/kvm and checks what is needed. Returns a descriptor, or -1 and DOM1_STATUS_HOST with the remedy.
 * *xen_flags: of KVM_CAP_XEN_HVM, 0 when there are none; may be NULL.
 */
int kvm_open(uint32_t *xen_flags, GError **error);

/* The CPUID leaves that the host's KVM supports; g_free(). NULL and DOM1_STATUS_HOST. */
struct kvm_cpuid2 *kvm_supported_cpuid(int kvm_fd, GError **error);

/*
 * A VM with memory and Xen support, without vCPUs. Returns its descriptor or -1 and DOM1_STATUS_HOST. The process
 * that calls this is the only one that may use the VM.
 */
int kvm_create_vm(int kvm_fd, const struct guest_memory *memory, uint32_t xen_version, GError **error);

/* Adds a memslot; its number is free. 0, or -1 and errno. */
int kvm_set_memory_slot(int vm_fd, unsigned int number, const struct guest_memory_slot *slot);

/* Sets an attribute of KVM's Xen side. 0 or a positive errno. */
int kvm_set_xen_attr(int vm_fd, const struct kvm_xen_hvm_attr *attr);
int kvm_set_xen_vcpu_attr(int vcpu_fd, const struct kvm_xen_vcpu_attr *attr);
