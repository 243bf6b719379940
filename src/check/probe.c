// SPDX-License-Identifier: MIT
#include "check/probe.h"

const struct host_probes HOST_PROBES = {
	.system = probe_system,
	.kvm = probe_kvm,
	.userfaultfd = probe_userfaultfd,
	.io_uring = probe_io_uring,
	.namespaces = probe_namespaces,
	.landlock = probe_landlock,
	.seccomp = probe_seccomp,
	.shims = probe_shims,
	.kernel = probe_kernel,
};

void host_facts_gather(struct host_facts *facts, const struct host_probes *probes, const char *shim_option,
		       const char *kernel_path)
{
	*facts = (struct host_facts){ .n_shims = 0 };
	probes->system(&facts->system);
	probes->kvm(&facts->kvm);
	probes->shims(facts, shim_option);
	facts->kernel.path = g_strdup(kernel_path);
	if (kernel_path)
		probes->kernel(&facts->kernel);
	probes->namespaces(&facts->namespaces);
	probes->landlock(&facts->landlock);
	probes->seccomp(&facts->seccomp);
	probes->userfaultfd(&facts->userfaultfd);
	probes->io_uring(&facts->io_uring);
}
