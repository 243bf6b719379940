// SPDX-License-Identifier: MIT
#include "harness/targets.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/test_case.h"
#include "shim/elf.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"
#include "vmm/one_line.h"

/* Folders in folders; a loop of mounts ends here. */
#define MAX_DEPTH 32

static bool file_error(GError **error, const char *path, const char *why)
{
	g_autofree char *line = one_line(path);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: %s", line, why);
	return false;
}

/* The name without the suffix of a configuration; NULL: it is none. */
static char *configuration_stem(const char *name)
{
	static const char *const suffixes[] = { ".cfg", ".dtb", ".dts" };

	for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
		if (g_str_has_suffix(name, suffixes[i]))
			return g_strndup(name, strlen(name) - strlen(suffixes[i]));
	return NULL;
}

/* A kernel that can be told from other files without unpacking it. */
static bool is_plain_kernel(const char *path)
{
	struct mapped_file file;

	if (!mapped_file_open(&file, path, "image", NULL))
		return false;
	bool plain = elf_has_magic(file.bytes, file.len_bytes) ||
		     (file.len_bytes > 0x206 && memcmp(file.bytes + 0x202, "HdrS", 4) == 0);
	mapped_file_close(&file);
	return plain && test_case_image_kind(path) != IMAGE_NONE;
}

struct folder {
	GPtrArray *names;  /* of all files in it, sorted */
	GHashTable *stems; /* of its configurations */
	GString *texts;    /* of its xl.cfg files: kernels that are named there are theirs */
};

static bool is_tests_own(const struct folder *folder, const char *name)
{
	g_autofree char *double_quoted = g_strdup_printf("/%s\"", name);
	g_autofree char *single_quoted = g_strdup_printf("/%s'", name);
	const char *texts = folder->texts->str;

	if (g_hash_table_contains(folder->stems, name) || strstr(texts, double_quoted) || strstr(texts, single_quoted))
		return false;
	double_quoted[0] = '"';
	single_quoted[0] = '\'';
	return !strstr(texts, double_quoted) && !strstr(texts, single_quoted);
}

static int by_name(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool folder_read(struct folder *folder, const char *path, GError **error)
{
	GDir *dir = g_dir_open(path, 0, NULL);

	*folder = (struct folder){ 0 };
	if (!dir)
		return file_error(error, path, "cannot read the folder");
	folder->names = g_ptr_array_new_with_free_func(g_free);
	folder->stems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	folder->texts = g_string_new(NULL);
	for (const char *name; (name = g_dir_read_name(dir)) != NULL;) {
		char *stem = configuration_stem(name);

		if (name[0] == '.') {
			g_free(stem);
			continue;
		}
		g_ptr_array_add(folder->names, g_strdup(name));
		if (!stem)
			continue;
		g_hash_table_add(folder->stems, stem);
		struct mapped_file file;
		g_autofree char *file_path = g_build_filename(path, name, NULL);
		if (g_str_has_suffix(name, ".cfg") && mapped_file_open(&file, file_path, "configuration", NULL)) {
			g_string_append_len(folder->texts, (const char *)file.bytes, (gssize)file.len_bytes);
			mapped_file_close(&file);
		}
	}
	g_dir_close(dir);
	g_ptr_array_sort(folder->names, by_name);
	return true;
}

static void folder_clear(struct folder *folder)
{
	g_ptr_array_unref(folder->names);
	g_hash_table_unref(folder->stems);
	g_string_free(folder->texts, TRUE);
}

static bool search(GPtrArray *paths, const char *path, unsigned int depth, GError **error)
{
	struct folder folder;
	bool ok = true;

	if (depth > MAX_DEPTH)
		return file_error(error, path, "folders in folders without an end");
	if (!folder_read(&folder, path, error))
		return false;
	for (guint i = 0; ok && i < folder.names->len; i++) {
		const char *name = folder.names->pdata[i];
		g_autofree char *file_path = g_build_filename(path, name, NULL);
		g_autofree char *stem = configuration_stem(name);
		struct stat status;

		/* Not through links of folders: there may be loops. */
		if (lstat(file_path, &status) == 0 && S_ISDIR(status.st_mode))
			ok = search(paths, file_path, depth + 1, error);
		else if (stat(file_path, &status) == 0 && S_ISREG(status.st_mode) &&
			 (stem || (is_tests_own(&folder, name) && is_plain_kernel(file_path))))
			g_ptr_array_add(paths, g_steal_pointer(&file_path));
	}
	folder_clear(&folder);
	return ok;
}

GPtrArray *targets_find(char **targets, GError **error)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	bool ok = true;

	for (; ok && *targets; targets++) {
		struct stat status;

		if (stat(*targets, &status) != 0)
			ok = file_error(error, *targets, g_strerror(errno));
		else if (S_ISDIR(status.st_mode))
			ok = search(paths, *targets, 0, error);
		else
			g_ptr_array_add(paths, g_strdup(*targets));
	}
	if (ok)
		return paths;
	g_ptr_array_unref(paths);
	return NULL;
}

bool target_is_wanted(const char *name, char **patterns)
{
	const char *last = strrchr(name, '/');

	if (!patterns || !*patterns)
		return true;
	for (; *patterns; patterns++)
		if (g_pattern_match_simple(*patterns, name) || (last && g_pattern_match_simple(*patterns, last + 1)))
			return true;
	return false;
}

bool shard_parse(const char *text, struct shard *shard, GError **error)
{
	enum { MOST = 100000 };
	g_auto(GStrv) parts = g_strsplit(text, "/", 3);
	guint64 index = 0, count = 0;

	if (g_strv_length(parts) != 2 || !g_ascii_string_to_unsigned(parts[1], 10, 1, MOST, &count, NULL) ||
	    !g_ascii_string_to_unsigned(parts[0], 10, 1, count, &index, NULL)) {
		g_autofree char *line = one_line(text);

		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--shard=%s: must be I/N, such as 2/5, with I from 1 to N", line);
		return false;
	}
	*shard = (struct shard){ (unsigned int)index, (unsigned int)count };
	return true;
}

bool shard_has(const struct shard *shard, guint place)
{
	return place % shard->count == shard->index - 1;
}
