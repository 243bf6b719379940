// SPDX-License-Identifier: MIT
/* The shim that a domain would get, the others, and a kernel that was named. */
#include "check/finding.h"
#include "vmm/error.h"

#define REMEDY_SHIM                                                                                                    \
	"install Debian's xen-utils (xen-utils-4.17 on Debian 12, xen-utils-4.20 on Debian 13), or name the file by "  \
	"--shim or $DOM1_SHIM"
#define REMEDY_NAMED_SHIM "name a xen-shim: Debian's xen-utils-* has it as /usr/lib/xen-VERSION/boot/xen-shim"
#define REMEDY_PAE        "build it with CONFIG_X86_PAE, or give one for x86-64"
#define REMEDY_PV         "give a kernel built with CONFIG_XEN_PV, as Debian's are (amd64, also the cloud flavour)"

static const char *source_name(enum shim_source source)
{
	static const char *const names[] = {
		[SHIM_INSTALLED] = "installed",
		[SHIM_ENVIRONMENT] = "from $DOM1_SHIM",
		[SHIM_OPTION] = "from --shim",
	};

	return names[source];
}

static const char *entries_of(const struct shim_facts *shim)
{
	return shim->has_multiboot ? (shim->has_pvh ? "multiboot and pvh" : "multiboot")
	       : shim->has_pvh     ? "pvh"
				   : "none";
}

/* Can dom1 start it? *meaning says what it is; *remedy is what to do about a file that was named. */
static bool judge_shim(const struct shim_facts *shim, char **meaning, const char **remedy)
{
	const char *source = source_name(shim->source);

	*remedy = REMEDY_NAMED_SHIM;
	if (shim->error) {
		*meaning = g_strdup_printf("%s (%s)", shim->error, source);
		return false;
	}
	switch (shim->kind) {
	case SHIM_KIND_PV_SHIM:
		break;
	case SHIM_KIND_XEN:
		*meaning = g_strdup_printf("%s: a Xen built without PV_SHIM (%s)", shim->path, source);
		return false;
	case SHIM_KIND_COMPRESSED:
		*meaning = g_strdup_printf("%s: compressed (%s)", shim->path, source);
		*remedy = "unpack it first (gunzip); a full Xen is a shim only if it was built with PV_SHIM";
		return false;
	default:
		*meaning = g_strdup_printf("%s: not a Xen (%s)", shim->path, source);
		return false;
	}
	*meaning = g_strdup_printf("%s (%s; PV shim, entries: %s)", shim->path, source, entries_of(shim));
	*remedy = shim->has_multiboot ? NULL : "use it with --shim-entry pvh";
	return shim->has_multiboot || shim->has_pvh;
}

static void add_shim(struct findings *findings, const struct shim_facts *shim)
{
	const char *remedy;
	char *meaning;
	bool good = judge_shim(shim, &meaning, &remedy);

	if (!shim->selected)
		findings_add(findings, "shim_other", "  not used", FINDING_INFO, meaning, NULL);
	else if (good)
		findings_add(findings, "shim", "Xen shim", remedy ? FINDING_WARNING : FINDING_OK, meaning,
			     g_strdup(remedy));
	else if (shim->source == SHIM_INSTALLED)
		findings_add(findings, "shim", "Xen shim", FINDING_MISSING, meaning, g_strdup(REMEDY_SHIM));
	else
		findings_add(findings, "shim", "Xen shim", FINDING_BAD, meaning,
			     g_strdup(remedy && shim->kind != SHIM_KIND_PV_SHIM ? remedy : REMEDY_NAMED_SHIM));
}

static void add_shims(struct findings *findings, const struct host_facts *facts)
{
	bool any = false;

	for (size_t i = 0; i < facts->n_shims; i++)
		any |= facts->shims[i].selected;
	if (!any)
		findings_add(findings, "shim", "Xen shim", FINDING_MISSING,
			     g_strdup("none: no readable /usr/lib/xen-*/boot/xen-shim"), g_strdup(REMEDY_SHIM));
	for (size_t i = 0; i < facts->n_shims; i++)
		add_shim(findings, &facts->shims[i]);
}

static const char *compression_name(enum kernel_compression compression)
{
	static const char *const names[] = {
		[KERNEL_COMPRESSION_NONE] = "not compressed",
		[KERNEL_COMPRESSION_GZIP] = "gzip",
		[KERNEL_COMPRESSION_BZIP2] = "bzip2",
		[KERNEL_COMPRESSION_LZMA] = "lzma",
		[KERNEL_COMPRESSION_XZ] = "xz",
		[KERNEL_COMPRESSION_LZO] = "lzo",
		[KERNEL_COMPRESSION_LZ4] = "lz4",
		[KERNEL_COMPRESSION_ZSTD] = "zstd",
	};

	return names[compression];
}

/* What is in the file, without its name: "PV and PVH, 64 bit, bzImage, xz, guest OS linux". */
static char *describe_kernel(const struct kernel_facts *kernel)
{
	static const char *const containers[] = {
		[KERNEL_ELF] = "ELF", [KERNEL_BZIMAGE] = "bzImage", [KERNEL_COMPRESSED_ELF] = "ELF"
	};
	const struct kernel_elf *elf = &kernel->elf;
	const char *kind = elf->is_pv              ? (elf->has_phys32_entry ? "PV and PVH" : "PV")
			   : elf->has_phys32_entry ? "PVH"
			   : elf->has_xen_notes    ? "neither PV nor PVH"
						   : "no Xen notes";

	return g_strdup_printf("%s, %s bit, %s, %s%s%s", kind, elf->is_64bit ? "64" : "32",
			       containers[kernel->image.container], compression_name(kernel->image.compression),
			       elf->guest_os[0] ? ", guest OS " : "", elf->guest_os);
}

static void add_kernel(struct findings *findings, const struct kernel_facts *kernel)
{
	static const char key[] = "kernel", title[] = "kernel";
	g_autofree char *what = NULL;

	if (kernel->error) {
		/* It names the file and ends with the remedy. Of the host: no process or memory to unpack it with. */
		findings_add(findings, key, title,
			     kernel->error_status == DOM1_STATUS_HOST ? FINDING_MISSING : FINDING_BAD,
			     g_strdup(kernel->error), NULL);
		return;
	}
	if (!kernel->has_elf) {
		findings_add(findings, key, title, FINDING_UNKNOWN,
			     g_strdup_printf("%s: %s: only the shim unpacks that", kernel->path,
					     compression_name(kernel->image.compression)),
			     g_strdup("to know its kind, give its vmlinux, or a kernel with another compression"));
		return;
	}
	what = describe_kernel(kernel);
	if (kernel->refusal) {
		const struct kernel_elf *elf = &kernel->elf;
		const char *remedy = kernel->refusal;

		if (!elf->is_pv)
			remedy = elf->has_phys32_entry ? REMEDY_PV ", or start this one with --type pvh" : REMEDY_PV;
		else if (!elf->is_64bit && !elf->is_pae)
			remedy = REMEDY_PAE;

		findings_add(findings, key, title, FINDING_BAD, g_strdup_printf("%s: %s", kernel->path, what),
			     g_strdup(remedy));
	} else {
		findings_add(findings, key, title, FINDING_OK, g_strdup_printf("%s: %s", kernel->path, what), NULL);
	}
}

void findings_add_images(struct findings *findings, const struct host_facts *facts)
{
	add_shims(findings, facts);
	if (facts->kernel.path)
		add_kernel(findings, &facts->kernel);
}
