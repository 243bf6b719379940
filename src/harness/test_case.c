// SPDX-License-Identifier: MIT
#include "harness/test_case.h"

#include <string.h>
#include <sys/stat.h>

#include "config/vm_config.h"
#include "saved/image.h"
#include "shim/kernel_image.h"
#include "shim/multiboot.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"

#define BLOCK_BYTES 512u

void test_case_free(struct test_case *test)
{
	if (!test)
		return;
	g_free(test->name);
	g_free(test->path);
	test_settings_clear(&test->settings);
	g_ptr_array_unref(test->arguments);
	g_clear_error(&test->error);
	g_free(test);
}

static enum image_kind kind_of(const struct mapped_file *file)
{
	struct kernel_image image;
	struct kernel_elf elf;

	if (!kernel_image_parse(file->bytes, file->len_bytes, "", &image, NULL))
		return IMAGE_NONE;
	/* Compressed: the child unpacks it. */
	if (image.container != KERNEL_ELF)
		return IMAGE_PV;
	if (!kernel_elf_parse(file->bytes, file->len_bytes, "", &elf, NULL))
		return IMAGE_NONE;
	if (elf.is_pv)
		return IMAGE_PV;
	return elf.has_phys32_entry || multiboot_check_header(file->bytes, file->len_bytes, "", NULL) ? IMAGE_PVH : IMAGE_NONE;
}

enum image_kind test_case_image_kind(const char *path)
{
	struct mapped_file file;

	if (!mapped_file_open(&file, path, "image", NULL))
		return IMAGE_NONE;
	enum image_kind kind = kind_of(&file);
	mapped_file_close(&file);
	return kind;
}

static bool is_configuration(const char *path)
{
	return g_str_has_suffix(path, ".cfg") || g_str_has_suffix(path, ".dtb") || g_str_has_suffix(path, ".dts");
}

static void add(GPtrArray *arguments, const char *word)
{
	g_ptr_array_add(arguments, g_strdup(word));
}

static void add_target(struct test_case *test)
{
	enum image_kind kind = is_configuration(test->path) ? IMAGE_NONE : test_case_image_kind(test->path);

	add(test->arguments, "run");
	if (kind == IMAGE_NONE) {
		/* Or something that dom1 run has a word about. A name that begins with - would be an option. */
		g_ptr_array_add(test->arguments, test->path[0] == '-' ? g_strconcat("./", test->path, NULL) : g_strdup(test->path));
		return;
	}
	g_ptr_array_add(test->arguments, g_strconcat("--kernel=", test->path, NULL));
	if (kind == IMAGE_PVH)
		add(test->arguments, "--type=pvh");
}

/* The text of a configuration may hold settings of the test. */
static bool read_settings(struct test_case *test, GError **error)
{
	struct mapped_file file;

	if (!g_str_has_suffix(test->path, ".cfg") && !g_str_has_suffix(test->path, ".dts"))
		return true;
	if (!mapped_file_open(&file, test->path, "configuration", error))
		return false;
	bool ok = test_settings_read(&test->settings, (const char *)file.bytes, file.len_bytes, test->path, error);
	mapped_file_close(&file);
	return ok;
}

static struct test_case *new_case(const char *path, const struct test_settings *common)
{
	struct test_case *test = g_new0(struct test_case, 1);

	test->name = g_strdup(path);
	test->path = g_strdup(path);
	test->n_vcpus = 1;
	test->arguments = g_ptr_array_new_with_free_func(g_free);
	test_settings_copy(&test->settings, common);
	return test;
}

static void add_options(struct test_case *test, char **run_options)
{
	for (; run_options && *run_options; run_options++)
		add(test->arguments, *run_options);
	for (guint i = 0; i < test->settings.options->len; i++)
		add(test->arguments, test->settings.options->pdata[i]);
}

struct test_case *test_case_new(const char *path, const struct test_settings *common, char **run_options)
{
	struct test_case *test = new_case(path, common);

	if (!read_settings(test, &test->error))
		return test;
	add_target(test);
	add_options(test, run_options);
	return test;
}

static bool read_dialogue(struct test_case *test, GError **error)
{
	script_unref(test->settings.script);
	test->settings.script = script_read(test->path, error);
	return test->settings.script != NULL;
}

struct test_case *test_case_from(const char *saved_path, const char *path, const struct test_settings *common, char **run_options)
{
	struct test_case *test = new_case(path ? path : saved_path, common);

	if (path && !(is_configuration(path) ? read_settings(test, &test->error) : read_dialogue(test, &test->error)))
		return test;
	add(test->arguments, "run");
	g_ptr_array_add(test->arguments, g_strconcat("--restore=", saved_path, NULL));
	add(test->arguments, "--as-clone");
	add_options(test, run_options);
	return test;
}

void test_case_is_clone(struct test_case *test, int saved_fd)
{
	struct stat status;

	if (fstat(saved_fd, &status) == 0)
		test->memory_bytes = MIN(test->memory_bytes, (uint64_t)status.st_blocks * BLOCK_BYTES);
}

static void read_saved_needs(struct test_case *test, const char *path)
{
	struct saved_image image;

	if (!saved_image_open(&image, path, NULL))
		return;
	test->n_vcpus = image.domain.n_vcpus;
	test->has_shim = image.domain.has_shim;
	test->memory_bytes = image.domain.memory_bytes;
	test_case_is_clone(test, image.file.fd);
	saved_image_close(&image);
}

void test_case_read_needs(struct test_case *test)
{
	GPtrArray *words = g_ptr_array_new();
	struct vm_config config;

	/* None if it has an error. */
	for (guint i = 0; i < test->arguments->len; i++)
		g_ptr_array_add(words, test->arguments->pdata[i]);
	g_ptr_array_add(words, NULL);
	if (words->len > 1 && vm_config_parse(&config, (int)words->len - 1, (char **)words->pdata, NULL)) {
		if (config.restore_path) {
			read_saved_needs(test, config.restore_path);
		} else {
			test->memory_bytes = config.memory_bytes;
			test->n_vcpus = config.n_vcpus;
			test->has_shim = config.type == GUEST_PV && !config.help;
		}
		vm_config_clear(&config);
	}
	g_ptr_array_unref(words);
}
