// SPDX-License-Identifier: MIT
/*
 * Keys are promises: they are added to, and neither renamed nor removed. An errno is given by its number under a key
 * that ends in _errno, 0 for what works; what was not asked is null.
 */
#include "check/present.h"
#include "control/json_text.h"
#include "vmm/error.h"
#include "vmm/kvm.h"

/* FACT_UNKNOWN: null. */
static void add_control(json_t *object, const char *key, int value)
{
	if (value == FACT_UNKNOWN)
		json_add_string(object, key, NULL);
	else
		json_add_number(object, key, value);
}

static void add_findings(json_t *answer, const struct findings *findings)
{
	json_t *list = json_add_array(answer, "findings");

	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);
		json_t *json = json_append_object(list);

		json_add_string(json, "key", finding->key);
		json_add_string(json, "state", finding_state_name(finding->state));
		json_add_string(json, "meaning", finding->meaning);
		json_add_string(json, "remedy", finding->remedy);
		json_add_number(json, "status", finding->status);
	}
}

static void add_system(json_t *answer, const struct system_facts *facts)
{
	static const char *const cpus[] = { [CPU_NO_VIRTUALIZATION] = NULL, [CPU_VMX] = "vmx", [CPU_SVM] = "svm" };
	json_t *host = json_add_object(answer, "host");

	json_add_string(host, "kernel_release", facts->kernel_release);
	json_add_string(host, "cpu_virtualization", cpus[facts->cpu]);
	json_add_boolean(host, "is_virtual", facts->is_virtual);
}

static void add_xen_flags(json_t *kvm, const struct kvm_facts *facts)
{
	json_t *flags = json_add_object(kvm, "xen_flags");

	for (size_t i = 0; i < N_KVM_XEN_FLAGS; i++) {
		g_autofree char *key = g_ascii_strdown(KVM_XEN_FLAGS[i].name, -1);
		json_t *flag = json_add_object(flags, key);

		json_add_boolean(flag, "present", facts->xen_flags & KVM_XEN_FLAGS[i].flag);
		json_add_boolean(flag, "needed", KVM_XEN_FLAGS[i].flag & KVM_XEN_FLAGS_NEEDED);
	}
}

static void add_guest_memfd(json_t *kvm, const struct kvm_facts *facts)
{
	json_t *json = json_add_object(kvm, "guest_memfd");

	json_add_boolean(json, "present", facts->has_guest_memfd);
	json_add_count(json, "flags", facts->guest_memfd_flags);
	for (size_t i = 0; i < N_GUEST_MEMFD_FLAGS; i++) {
		g_autofree char *key = g_ascii_strdown(GUEST_MEMFD_FLAGS[i].name, -1);

		json_add_boolean(json, key, facts->guest_memfd_flags & GUEST_MEMFD_FLAGS[i].flag);
	}
}

static void add_kvm(json_t *answer, const struct kvm_facts *facts)
{
	bool exists = facts->stat_errno == 0;
	g_autofree char *mode = g_strdup_printf("%04o", facts->mode);
	json_t *kvm = json_add_object(answer, "kvm");

	json_add_string(kvm, "device", "/dev/kvm");
	json_add_boolean(kvm, "exists", exists);
	json_add_string(kvm, "owner", facts->owner);
	json_add_string(kvm, "group", facts->group);
	add_control(kvm, "uid", exists ? (int)facts->uid : FACT_UNKNOWN);
	add_control(kvm, "gid", exists ? (int)facts->gid : FACT_UNKNOWN);
	json_add_string(kvm, "mode", exists ? mode : NULL);
	json_add_boolean(kvm, "can_open", exists && facts->open_errno == 0);
	json_add_number(kvm, "open_errno", exists ? facts->open_errno : facts->stat_errno);
	if (exists && facts->open_errno == 0) {
		json_add_number(kvm, "create_vm_errno", facts->create_vm_errno);
		json_add_string(kvm, "refusal", facts->refusal);
		add_xen_flags(kvm, facts);
		add_guest_memfd(kvm, facts);
	} else {
		json_add_string(kvm, "create_vm_errno", NULL);
		json_add_string(kvm, "refusal", NULL);
		json_add_string(kvm, "xen_flags", NULL);
		json_add_string(kvm, "guest_memfd", NULL);
	}
}

static void add_user_space(json_t *answer, const struct host_facts *facts)
{
	json_t *namespaces = json_add_object(answer, "user_namespaces");
	json_add_boolean(namespaces, "allowed", facts->namespaces.machine_errno == 0);
	json_add_number(namespaces, "user_errno", facts->namespaces.user_errno);
	json_add_number(namespaces, "machine_errno", facts->namespaces.machine_errno);
	add_control(namespaces, "max_user_namespaces", facts->namespaces.max_user_namespaces);
	add_control(namespaces, "unprivileged_userns_clone", facts->namespaces.unprivileged_clone);
	add_control(namespaces, "apparmor_restrict_unprivileged_userns", facts->namespaces.apparmor_restricts);

	json_t *landlock = json_add_object(answer, "landlock");
	json_add_number(landlock, "abi", facts->landlock.abi);
	json_add_number(landlock, "create_errno", facts->landlock.errnum);

	json_t *seccomp = json_add_object(answer, "seccomp");
	json_add_boolean(seccomp, "allowed", facts->seccomp.errnum == 0);
	json_add_number(seccomp, "errno", facts->seccomp.errnum);

	json_t *userfaultfd = json_add_object(answer, "userfaultfd");
	json_add_boolean(userfaultfd, "allowed", facts->userfaultfd.user_mode_errno == 0);
	json_add_boolean(userfaultfd, "poison", facts->userfaultfd.has_poison);
	json_add_number(userfaultfd, "user_mode_errno", facts->userfaultfd.user_mode_errno);
	json_add_number(userfaultfd, "full_errno", facts->userfaultfd.full_errno);
	json_add_number(userfaultfd, "device_errno", facts->userfaultfd.device_errno);
	json_add_number(userfaultfd, "guest_memfd_errno", facts->userfaultfd.guest_memfd_errno);
	add_control(userfaultfd, "unprivileged_userfaultfd", facts->userfaultfd.unprivileged);

	json_t *io_uring = json_add_object(answer, "io_uring");
	json_add_boolean(io_uring, "allowed", facts->io_uring.setup_errno == 0);
	json_add_number(io_uring, "setup_errno", facts->io_uring.setup_errno);
	add_control(io_uring, "io_uring_disabled", facts->io_uring.disabled);
	add_control(io_uring, "io_uring_group", facts->io_uring.group);
}

static void add_shims(json_t *answer, const struct host_facts *facts)
{
	static const char *const sources[] = {
		[SHIM_INSTALLED] = "installed", [SHIM_ENVIRONMENT] = "environment", [SHIM_OPTION] = "option"
	};
	static const char *const kinds[] = { [SHIM_KIND_NONE] = NULL,
					     [SHIM_KIND_COMPRESSED] = "compressed",
					     [SHIM_KIND_FOREIGN] = "foreign",
					     [SHIM_KIND_XEN] = "xen",
					     [SHIM_KIND_PV_SHIM] = "pv_shim" };

	json_t *shims = json_add_array(answer, "shims");

	for (size_t i = 0; i < facts->n_shims; i++) {
		const struct shim_facts *shim = &facts->shims[i];
		json_t *json = json_append_object(shims);

		json_add_string(json, "path", shim->path);
		json_add_string(json, "source", sources[shim->source]);
		json_add_boolean(json, "selected", shim->selected);
		json_add_string(json, "error", shim->error);
		json_add_string(json, "kind", kinds[shim->kind]);
		json_add_boolean(json, "multiboot", shim->has_multiboot);
		json_add_boolean(json, "pvh", shim->has_pvh);
	}
}

static void add_kernel(json_t *answer, const struct kernel_facts *facts)
{
	static const char *const containers[] = {
		[KERNEL_ELF] = "elf", [KERNEL_BZIMAGE] = "bzimage", [KERNEL_COMPRESSED_ELF] = "compressed_elf"
	};
	static const char *const compressions[] = {
		[KERNEL_COMPRESSION_NONE] = NULL,     [KERNEL_COMPRESSION_GZIP] = "gzip",
		[KERNEL_COMPRESSION_BZIP2] = "bzip2", [KERNEL_COMPRESSION_LZMA] = "lzma",
		[KERNEL_COMPRESSION_XZ] = "xz",       [KERNEL_COMPRESSION_LZO] = "lzo",
		[KERNEL_COMPRESSION_LZ4] = "lz4",     [KERNEL_COMPRESSION_ZSTD] = "zstd",
	};
	static const char *const elf_keys[] = {
		"pv", "pvh", "xen_notes", "bits", "guest_os", "elf_bytes", "load_bytes"
	};
	bool known = !facts->error;

	if (!facts->path) {
		json_add_string(answer, "kernel", NULL);
		return;
	}
	json_t *kernel = json_add_object(answer, "kernel");
	json_add_string(kernel, "path", facts->path);
	json_add_string(kernel, "error", facts->error);
	json_add_string(kernel, "refusal", facts->refusal);
	json_add_string(kernel, "container", known ? containers[facts->image.container] : NULL);
	json_add_string(kernel, "compression", known ? compressions[facts->image.compression] : NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(elf_keys) && !(known && facts->has_elf); i++)
		json_add_string(kernel, elf_keys[i], NULL);
	if (known && facts->has_elf) {
		json_add_boolean(kernel, "pv", facts->elf.is_pv);
		json_add_boolean(kernel, "pvh", facts->elf.has_phys32_entry);
		json_add_boolean(kernel, "xen_notes", facts->elf.has_xen_notes);
		json_add_number(kernel, "bits", facts->elf.is_64bit ? 64 : 32);
		json_add_string(kernel, "guest_os", facts->elf.guest_os[0] ? facts->elf.guest_os : NULL);
		json_add_count(kernel, "elf_bytes", facts->elf_bytes);
		json_add_count(kernel, "load_bytes", facts->elf.load_bytes);
	}
}

char *present_json(const struct findings *findings, const struct host_facts *facts)
{
	json_t *answer = json_object();

	json_add_number(answer, "version", 1);
	json_add_number(answer, "status", findings->status);
	/* The host alone: a bad kernel does not make it a bad host. */
	json_add_boolean(answer, "can_run_pv", findings->status != DOM1_STATUS_HOST);
	json_add_string(answer, "verdict", findings->verdict);
	add_findings(answer, findings);
	add_system(answer, &facts->system);
	add_kvm(answer, &facts->kvm);
	add_shims(answer, facts);
	add_kernel(answer, &facts->kernel);
	add_user_space(answer, facts);
	return json_text_pretty(answer);
}
