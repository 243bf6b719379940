// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "vmm/error.h"
#include "vmm/kvm.h"

int cmd_check(int argc, char **argv, uint64_t exec_ns)
{
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;
	uint32_t xen_flags;

	(void)exec_ns;
	g_option_context_set_summary(context, "Says whether this host can run domains: status 0 if it can, 3 if not.");
	if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
		fprintf(stderr, "dom1: check: %s\n", error ? error->message : "takes no arguments");
		return DOM1_STATUS_USAGE;
	}
	int kvm_fd = kvm_open(&xen_flags, &error);
	for (size_t i = 0; xen_flags && i < N_KVM_XEN_FLAGS; i++)
		printf("%-22s %-4s %s%s\n", KVM_XEN_FLAGS[i].name, xen_flags & KVM_XEN_FLAGS[i].flag ? "yes" : "no",
		       KVM_XEN_FLAGS[i].meaning, KVM_XEN_FLAGS[i].flag & KVM_XEN_FLAGS_NEEDED ? " (needed)" : "");
	if (kvm_fd < 0) {
		fprintf(stderr, "dom1: %s\n", error->message);
		return DOM1_STATUS_HOST;
	}
	close(kvm_fd);
	puts("/dev/kvm: this host can run domains");
	return DOM1_STATUS_OK;
}
