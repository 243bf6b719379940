// SPDX-License-Identifier: MIT
/*
 * Keys are promises: they are added to, and neither renamed nor removed. An errno is given by its number under a key
 * that ends in _errno, 0 for what works; what was not asked is null.
 */
#include "check/present.h"
#include "vmm/error.h"
#include "vmm/json_members.h"
#include "vmm/kvm.h"

/* FACT_UNKNOWN: null. */
static void add_control(JsonBuilder *builder, const char *key, int value)
{
	if (value == FACT_UNKNOWN)
		json_add_string(builder, key, NULL);
	else
		json_add_number(builder, key, value);
}

static void add_findings(JsonBuilder *builder, const struct findings *findings)
{
	json_builder_set_member_name(builder, "findings");
	json_builder_begin_array(builder);
	for (guint i = 0; i < findings->list->len; i++) {
		const struct finding *finding = &g_array_index(findings->list, struct finding, i);

		json_builder_begin_object(builder);
		json_add_string(builder, "key", finding->key);
		json_add_string(builder, "state", finding_state_name(finding->state));
		json_add_string(builder, "meaning", finding->meaning);
		json_add_string(builder, "remedy", finding->remedy);
		json_add_number(builder, "status", finding->status);
		json_builder_end_object(builder);
	}
	json_builder_end_array(builder);
}

static void add_system(JsonBuilder *builder, const struct system_facts *facts)
{
	static const char *const cpus[] = { [CPU_NO_VIRTUALIZATION] = NULL, [CPU_VMX] = "vmx", [CPU_SVM] = "svm" };

	json_begin_object(builder, "host");
	json_add_string(builder, "kernel_release", facts->kernel_release);
	json_add_string(builder, "cpu_virtualization", cpus[facts->cpu]);
	json_add_boolean(builder, "is_virtual", facts->is_virtual);
	json_builder_end_object(builder);
}

static void add_xen_flags(JsonBuilder *builder, const struct kvm_facts *facts)
{
	json_begin_object(builder, "xen_flags");
	for (size_t i = 0; i < N_KVM_XEN_FLAGS; i++) {
		g_autofree char *key = g_ascii_strdown(KVM_XEN_FLAGS[i].name, -1);

		json_begin_object(builder, key);
		json_add_boolean(builder, "present", facts->xen_flags & KVM_XEN_FLAGS[i].flag);
		json_add_boolean(builder, "needed", KVM_XEN_FLAGS[i].flag & KVM_XEN_FLAGS_NEEDED);
		json_builder_end_object(builder);
	}
	json_builder_end_object(builder);
}

static void add_guest_memfd(JsonBuilder *builder, const struct kvm_facts *facts)
{
	json_begin_object(builder, "guest_memfd");
	json_add_boolean(builder, "present", facts->has_guest_memfd);
	json_add_number(builder, "flags", (gint64)facts->guest_memfd_flags);
	for (size_t i = 0; i < N_GUEST_MEMFD_FLAGS; i++) {
		g_autofree char *key = g_ascii_strdown(GUEST_MEMFD_FLAGS[i].name, -1);

		json_add_boolean(builder, key, facts->guest_memfd_flags & GUEST_MEMFD_FLAGS[i].flag);
	}
	json_builder_end_object(builder);
}

static void add_kvm(JsonBuilder *builder, const struct kvm_facts *facts)
{
	bool exists = facts->stat_errno == 0;
	g_autofree char *mode = g_strdup_printf("%04o", facts->mode);

	json_begin_object(builder, "kvm");
	json_add_string(builder, "device", "/dev/kvm");
	json_add_boolean(builder, "exists", exists);
	json_add_string(builder, "owner", facts->owner);
	json_add_string(builder, "group", facts->group);
	add_control(builder, "uid", exists ? (int)facts->uid : FACT_UNKNOWN);
	add_control(builder, "gid", exists ? (int)facts->gid : FACT_UNKNOWN);
	json_add_string(builder, "mode", exists ? mode : NULL);
	json_add_boolean(builder, "can_open", exists && facts->open_errno == 0);
	json_add_number(builder, "open_errno", exists ? facts->open_errno : facts->stat_errno);
	if (exists && facts->open_errno == 0) {
		json_add_number(builder, "create_vm_errno", facts->create_vm_errno);
		json_add_string(builder, "refusal", facts->refusal);
		add_xen_flags(builder, facts);
		add_guest_memfd(builder, facts);
	} else {
		json_add_string(builder, "create_vm_errno", NULL);
		json_add_string(builder, "refusal", NULL);
		json_add_string(builder, "xen_flags", NULL);
		json_add_string(builder, "guest_memfd", NULL);
	}
	json_builder_end_object(builder);
}

static void add_user_space(JsonBuilder *builder, const struct host_facts *facts)
{
	json_begin_object(builder, "user_namespaces");
	json_add_boolean(builder, "allowed", facts->namespaces.machine_errno == 0);
	json_add_number(builder, "user_errno", facts->namespaces.user_errno);
	json_add_number(builder, "machine_errno", facts->namespaces.machine_errno);
	add_control(builder, "max_user_namespaces", facts->namespaces.max_user_namespaces);
	add_control(builder, "unprivileged_userns_clone", facts->namespaces.unprivileged_clone);
	add_control(builder, "apparmor_restrict_unprivileged_userns", facts->namespaces.apparmor_restricts);
	json_builder_end_object(builder);

	json_begin_object(builder, "landlock");
	json_add_number(builder, "abi", facts->landlock.abi);
	json_add_number(builder, "create_errno", facts->landlock.errnum);
	json_builder_end_object(builder);

	json_begin_object(builder, "userfaultfd");
	json_add_boolean(builder, "allowed", facts->userfaultfd.user_mode_errno == 0);
	json_add_boolean(builder, "poison", facts->userfaultfd.has_poison);
	json_add_number(builder, "user_mode_errno", facts->userfaultfd.user_mode_errno);
	json_add_number(builder, "full_errno", facts->userfaultfd.full_errno);
	json_add_number(builder, "device_errno", facts->userfaultfd.device_errno);
	add_control(builder, "unprivileged_userfaultfd", facts->userfaultfd.unprivileged);
	json_builder_end_object(builder);

	json_begin_object(builder, "io_uring");
	json_add_boolean(builder, "allowed", facts->io_uring.setup_errno == 0);
	json_add_number(builder, "setup_errno", facts->io_uring.setup_errno);
	add_control(builder, "io_uring_disabled", facts->io_uring.disabled);
	add_control(builder, "io_uring_group", facts->io_uring.group);
	json_builder_end_object(builder);
}

static void add_shims(JsonBuilder *builder, const struct host_facts *facts)
{
	static const char *const sources[] = {
		[SHIM_INSTALLED] = "installed", [SHIM_ENVIRONMENT] = "environment", [SHIM_OPTION] = "option"
	};
	static const char *const kinds[] = { [SHIM_KIND_NONE] = NULL,
					     [SHIM_KIND_COMPRESSED] = "compressed",
					     [SHIM_KIND_FOREIGN] = "foreign",
					     [SHIM_KIND_XEN] = "xen",
					     [SHIM_KIND_PV_SHIM] = "pv_shim" };

	json_builder_set_member_name(builder, "shims");
	json_builder_begin_array(builder);
	for (size_t i = 0; i < facts->n_shims; i++) {
		const struct shim_facts *shim = &facts->shims[i];

		json_builder_begin_object(builder);
		json_add_string(builder, "path", shim->path);
		json_add_string(builder, "source", sources[shim->source]);
		json_add_boolean(builder, "selected", shim->selected);
		json_add_string(builder, "error", shim->error);
		json_add_string(builder, "kind", kinds[shim->kind]);
		json_add_boolean(builder, "multiboot", shim->has_multiboot);
		json_add_boolean(builder, "pvh", shim->has_pvh);
		json_builder_end_object(builder);
	}
	json_builder_end_array(builder);
}

static void add_kernel(JsonBuilder *builder, const struct kernel_facts *facts)
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
		json_add_string(builder, "kernel", NULL);
		return;
	}
	json_begin_object(builder, "kernel");
	json_add_string(builder, "path", facts->path);
	json_add_string(builder, "error", facts->error);
	json_add_string(builder, "refusal", facts->refusal);
	json_add_string(builder, "container", known ? containers[facts->image.container] : NULL);
	json_add_string(builder, "compression", known ? compressions[facts->image.compression] : NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(elf_keys) && !(known && facts->has_elf); i++)
		json_add_string(builder, elf_keys[i], NULL);
	if (known && facts->has_elf) {
		json_add_boolean(builder, "pv", facts->elf.is_pv);
		json_add_boolean(builder, "pvh", facts->elf.has_phys32_entry);
		json_add_boolean(builder, "xen_notes", facts->elf.has_xen_notes);
		json_add_number(builder, "bits", facts->elf.is_64bit ? 64 : 32);
		json_add_string(builder, "guest_os", facts->elf.guest_os[0] ? facts->elf.guest_os : NULL);
		json_add_number(builder, "elf_bytes", (gint64)facts->elf_bytes);
		json_add_number(builder, "load_bytes", (gint64)facts->elf.load_bytes);
	}
	json_builder_end_object(builder);
}

char *present_json(const struct findings *findings, const struct host_facts *facts)
{
	g_autoptr(JsonBuilder) builder = json_builder_new();
	g_autoptr(JsonGenerator) generator = json_generator_new();

	json_builder_begin_object(builder);
	json_add_number(builder, "version", 1);
	json_add_number(builder, "status", findings->status);
	/* The host alone: a bad kernel does not make it a bad host. */
	json_add_boolean(builder, "can_run_pv", findings->status != DOM1_STATUS_HOST);
	json_add_string(builder, "verdict", findings->verdict);
	add_findings(builder, findings);
	add_system(builder, &facts->system);
	add_kvm(builder, &facts->kvm);
	add_shims(builder, facts);
	add_kernel(builder, &facts->kernel);
	add_user_space(builder, facts);
	json_builder_end_object(builder);

	g_autoptr(JsonNode) root = json_builder_get_root(builder);
	json_generator_set_root(generator, root);
	json_generator_set_pretty(generator, TRUE);
	return json_generator_to_data(generator, NULL);
}
