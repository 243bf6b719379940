// SPDX-License-Identifier: MIT
/*
 * The files: every shim that dom1 could find, and a kernel that was named. Whether they will do is asked of the same
 * functions as in dom1 run, so that the two cannot disagree.
 */
#include <string.h>

#include "check/probe.h"
#include "shim/elf.h"
#include "shim/find_shim.h"
#include "shim/multiboot.h"
#include "shim/pv_check.h"
#include "shim/pvh.h"
#include "shim/unpack.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"

/* Debian's has 6 MiB; a bound for the time that looking through a file takes, which may be one of holes. */
#define SHIM_MAX_BYTES ((size_t)256 << 20)

static void read_shim(struct shim_facts *shim, const struct mapped_file *file)
{
	const struct boot_image image = { shim->path, file->bytes, file->len_bytes };
	struct kernel_image packing;
	struct elf_image elf;
	uint32_t entry;

	if (file->len_bytes > SHIM_MAX_BYTES) {
		shim->kind = SHIM_KIND_FOREIGN;
		return;
	}
	if (!elf_open(&elf, file->bytes, file->len_bytes, shim->path, NULL)) {
		bool packed = kernel_image_parse(file->bytes, file->len_bytes, shim->path, &packing, NULL) &&
			      packing.container == KERNEL_COMPRESSED_ELF;

		shim->kind = packed ? SHIM_KIND_COMPRESSED : SHIM_KIND_FOREIGN;
		return;
	}
	shim->is_64bit = elf.is_64bit;
	shim->has_multiboot = multiboot_check_header(file->bytes, file->len_bytes, shim->path, NULL);
	shim->has_pvh = pvh_find_entry(&elf, shim->path, &entry, NULL);
	if (pv_check_shim(&image, NULL))
		shim->kind = SHIM_KIND_PV_SHIM;
	else
		/* A PV or PVH kernel may have the note too, but only Xen has both. */
		shim->kind = shim->has_multiboot && shim->has_pvh ? SHIM_KIND_XEN : SHIM_KIND_FOREIGN;
}

static void add_shim(struct host_facts *facts, const char *path, enum shim_source source, const char *selected)
{
	g_autoptr(GError) error = NULL;
	struct mapped_file file;

	facts->shims = g_renew(struct shim_facts, facts->shims, facts->n_shims + 1);
	struct shim_facts *shim = &facts->shims[facts->n_shims++];

	*shim = (struct shim_facts){
		.path = g_strdup(path),
		.source = source,
		.selected = selected && g_str_equal(path, selected),
	};
	if (!mapped_file_open(&file, path, "shim", &error)) {
		shim->error = g_strdup(error->message);
		return;
	}
	read_shim(shim, &file);
	mapped_file_close(&file);
}

static int newest_first(gconstpointer a, gconstpointer b)
{
	return strverscmp(*(const char *const *)b, *(const char *const *)a);
}

static GPtrArray *installed_shims(const char *root)
{
	g_autofree char *lib = g_build_filename(root, "usr/lib", NULL);
	g_autoptr(GDir) dir = g_dir_open(lib, 0, NULL);
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = g_build_filename(lib, name, "boot", "xen-shim", NULL);

		if (g_str_has_prefix(name, "xen-") && g_file_test(path, G_FILE_TEST_EXISTS))
			g_ptr_array_add(paths, g_steal_pointer(&path));
	}
	g_ptr_array_sort(paths, newest_first);
	return paths;
}

void probe_shims_in(struct host_facts *facts, const char *root, const char *named, const char *env)
{
	g_autoptr(GPtrArray) installed = installed_shims(root);
	g_autofree char *selected = shim_find_in(root, named, env, NULL);
	bool has_env = env && env[0];
	/* A named file is dom1's choice also when it is bad: another one never takes its place. */
	const char *choice = named ? named : has_env ? env : selected;
	size_t first = facts->n_shims;

	if (named)
		add_shim(facts, named, SHIM_OPTION, choice);
	if (has_env && (!named || !g_str_equal(named, env)))
		add_shim(facts, env, SHIM_ENVIRONMENT, choice);
	for (guint i = 0; i < installed->len; i++) {
		const char *path = installed->pdata[i];

		if (!(named && g_str_equal(path, named)) && !(has_env && g_str_equal(path, env)))
			add_shim(facts, path, SHIM_INSTALLED, choice);
	}
	/* shim_find_in() passes over an installed one that cannot be read: then the choice is not the first. */
	for (size_t i = first + 1; i < facts->n_shims; i++)
		if (facts->shims[i].selected) {
			struct shim_facts shim = facts->shims[i];

			memmove(&facts->shims[first + 1], &facts->shims[first], (i - first) * sizeof(shim));
			facts->shims[first] = shim;
		}
}

void probe_shims(struct host_facts *facts, const char *named)
{
	probe_shims_in(facts, "/", named, g_getenv("DOM1_SHIM"));
}

/* As dom1 run will, but for the memory, which nobody has named: below 4 GiB there is none to be checked. */
static char *refusal_of(const struct kernel_facts *facts, const struct kernel_bytes *kernel)
{
	const struct boot_inputs inputs = {
		.kernel = { facts->path, kernel->bytes, kernel->len_bytes },
		.low_ram_top_gpa = 0,
	};
	g_autoptr(GError) error = NULL;

	return pv_check_kernel(&inputs, UINT64_MAX, &error) ? NULL : g_strdup(error->message);
}

static bool read_kernel(struct kernel_facts *facts, GError **error)
{
	struct kernel_bytes kernel;
	struct mapped_file file;

	/* It reads, checks and unpacks as dom1 run does, but for the cache, which would be a file left behind. */
	if (!kernel_load(facts->path, FALSE, &kernel, error))
		return false;
	bool ok = mapped_file_open(&file, facts->path, "kernel", error);
	if (ok) {
		ok = kernel_image_parse(file.bytes, file.len_bytes, facts->path, &facts->image, error);
		mapped_file_close(&file);
	}
	facts->has_elf = ok && (kernel.unpacked || facts->image.compression == KERNEL_COMPRESSION_NONE);
	if (facts->has_elf) {
		ok = kernel_elf_parse(kernel.bytes, kernel.len_bytes, facts->path, &facts->elf, error);
		facts->refusal = ok ? refusal_of(facts, &kernel) : NULL;
		facts->elf_bytes = kernel.len_bytes;
	}
	kernel_bytes_clear(&kernel);
	return ok;
}

void probe_kernel(struct kernel_facts *facts)
{
	g_autoptr(GError) error = NULL;

	if (read_kernel(facts, &error))
		return;
	facts->error = g_strdup(error->message);
	facts->error_status = error->code;
}
