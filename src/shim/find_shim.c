// SPDX-License-Identifier: MIT
/*
 * Debian installs a hypervisor and its tools under /usr/lib/xen-VERSION, several versions side by side; the shim is
 * at boot/xen-shim in it. A named file is never replaced by an installed one: the person who names it means it.
 */
#include "shim/find_shim.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/error.h"

#define FOLDER_PREFIX "xen-"

/* NULL: path is a file that can be read; else why it is not. */
static const char *unusable(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return g_strerror(errno);
	if (S_ISDIR(st.st_mode))
		return "is a directory";
	if (!S_ISREG(st.st_mode))
		return "is not a regular file";
	if (access(path, R_OK) != 0)
		return g_strerror(errno);
	return NULL;
}

static char *use_named(const char *path, const char *source, GError **error)
{
	const char *reason = unusable(path);

	if (reason == NULL)
		return g_strdup(path);
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
		    "%s: the shim that %s names cannot be used: %s: give the path of a xen-shim, or leave %s out to "
		    "use the installed one",
		    path, source, reason, source);
	return NULL;
}

char *shim_find_in(const char *root, const char *option, const char *env, GError **error)
{
	g_autofree char *lib = g_build_filename(root, "usr/lib", NULL);
	g_autofree char *best_name = NULL;
	g_autofree char *best_path = NULL;
	g_autoptr(GDir) dir = NULL;
	const char *name;

	if (option != NULL)
		return use_named(option, "--shim", error);
	if (env != NULL && env[0] != '\0')
		return use_named(env, "$DOM1_SHIM", error);

	dir = g_dir_open(lib, 0, NULL);
	while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
		g_autofree char *path = NULL;

		if (!g_str_has_prefix(name, FOLDER_PREFIX))
			continue;
		/* By version, not by letters: 4.17 is newer than 4.9. */
		if (best_name != NULL && strverscmp(name, best_name) <= 0)
			continue;
		path = g_build_filename(lib, name, "boot", "xen-shim", NULL);
		if (unusable(path) != NULL)
			continue;
		g_free(best_name);
		best_name = g_strdup(name);
		g_free(best_path);
		best_path = g_steal_pointer(&path);
	}
	if (best_path == NULL)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "no Xen shim found: there is no %s/" FOLDER_PREFIX
			    "*/boot/xen-shim: install the package xen-utils-4.17 (or newer), or name the file by "
			    "--shim or $DOM1_SHIM",
			    lib);
	return g_steal_pointer(&best_path);
}

char *shim_find(const char *option, GError **error)
{
	return shim_find_in("/", option, g_getenv("DOM1_SHIM"), error);
}
