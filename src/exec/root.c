// SPDX-License-Identifier: MIT
#include "exec/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>

#include "init_program.h"
#include "exec/wire.h"
#include "vmm/error.h"
#include "vmm/shared_library.h"

#define CONSOLE_MAJOR 5
#define CONSOLE_MINOR 1

/* libarchive's functions, by their names without "archive_". */
struct library {
	__typeof__(archive_error_string) *error_string;
	__typeof__(archive_write_new) *write_new;
	__typeof__(archive_write_set_format_cpio_newc) *write_set_format_cpio_newc;
	__typeof__(archive_write_open_fd) *write_open_fd;
	__typeof__(archive_write_header) *write_header;
	__typeof__(archive_write_data) *write_data;
	__typeof__(archive_write_close) *write_close;
	__typeof__(archive_write_free) *write_free;
	__typeof__(archive_read_disk_new) *read_disk_new;
	__typeof__(archive_read_disk_set_symlink_physical) *read_disk_set_symlink_physical;
	__typeof__(archive_read_disk_open) *read_disk_open;
	__typeof__(archive_read_disk_can_descend) *read_disk_can_descend;
	__typeof__(archive_read_disk_descend) *read_disk_descend;
	__typeof__(archive_read_next_header2) *read_next_header2;
	__typeof__(archive_read_data_block) *read_data_block;
	__typeof__(archive_read_free) *read_free;
	__typeof__(archive_entry_new) *entry_new;
	__typeof__(archive_entry_free) *entry_free;
	__typeof__(archive_entry_pathname) *entry_pathname;
	__typeof__(archive_entry_set_pathname) *entry_set_pathname;
	__typeof__(archive_entry_set_mode) *entry_set_mode;
	__typeof__(archive_entry_set_size) *entry_set_size;
	__typeof__(archive_entry_set_nlink) *entry_set_nlink;
	__typeof__(archive_entry_set_rdevmajor) *entry_set_rdevmajor;
	__typeof__(archive_entry_set_rdevminor) *entry_set_rdevminor;
	__typeof__(archive_entry_filetype) *entry_filetype;
	__typeof__(archive_entry_size) *entry_size;
};

struct packing {
	struct library library;
	struct archive *to;
	uint64_t payload_bytes;
};

static bool load(struct library *library, GError **error)
{
#define FUNCTION(name) { offsetof(struct library, name), "archive_" #name }
	static const struct shared_function functions[] = {
		FUNCTION(error_string),
		FUNCTION(write_new),
		FUNCTION(write_set_format_cpio_newc),
		FUNCTION(write_open_fd),
		FUNCTION(write_header),
		FUNCTION(write_data),
		FUNCTION(write_close),
		FUNCTION(write_free),
		FUNCTION(read_disk_new),
		FUNCTION(read_disk_set_symlink_physical),
		FUNCTION(read_disk_open),
		FUNCTION(read_disk_can_descend),
		FUNCTION(read_disk_descend),
		FUNCTION(read_next_header2),
		FUNCTION(read_data_block),
		FUNCTION(read_free),
		FUNCTION(entry_new),
		FUNCTION(entry_free),
		FUNCTION(entry_pathname),
		FUNCTION(entry_set_pathname),
		FUNCTION(entry_set_mode),
		FUNCTION(entry_set_size),
		FUNCTION(entry_set_nlink),
		FUNCTION(entry_set_rdevmajor),
		FUNCTION(entry_set_rdevminor),
		FUNCTION(entry_filetype),
		FUNCTION(entry_size),
	};
#undef FUNCTION
	const char *why;

	if (shared_library_open(DOM1_LIBARCHIVE, library, functions, G_N_ELEMENTS(functions), &why))
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: install libarchive", why);
	return false;
}

static bool pack_failed(const struct packing *packing, struct archive *archive, const char *path, GError **error)
{
	const char *why = packing->library.error_string(archive);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "--root: %s: cannot be packed: %s", path, why ? why : "no reason is given");
	return false;
}

static bool add(struct packing *packing, const char *path, mode_t mode, const void *bytes, size_t len_bytes, GError **error)
{
	const struct library *library = &packing->library;
	struct archive_entry *entry = library->entry_new();

	library->entry_set_pathname(entry, path);
	library->entry_set_mode(entry, mode);
	library->entry_set_nlink(entry, 1);
	library->entry_set_size(entry, (int64_t)len_bytes);
	if (S_ISCHR(mode)) {
		library->entry_set_rdevmajor(entry, CONSOLE_MAJOR);
		library->entry_set_rdevminor(entry, CONSOLE_MINOR);
	}
	bool ok = library->write_header(packing->to, entry) == ARCHIVE_OK &&
		  (len_bytes == 0 || library->write_data(packing->to, bytes, len_bytes) == (la_ssize_t)len_bytes);
	library->entry_free(entry);
	packing->payload_bytes += len_bytes;
	return ok || pack_failed(packing, packing->to, path, error);
}

static bool add_contents(struct packing *packing, struct archive *from, const char *path, GError **error)
{
	static const uint8_t zeros[4096];
	const struct library *library = &packing->library;
	int64_t at = 0, offset_bytes;
	const void *block;
	size_t len_bytes;
	int rc;

	/* Holes are left out of what is read, and must not be in what is written. */
	while ((rc = library->read_data_block(from, &block, &len_bytes, &offset_bytes)) == ARCHIVE_OK) {
		for (; at < offset_bytes; at += MIN((int64_t)sizeof(zeros), offset_bytes - at))
			(void)library->write_data(packing->to, zeros, (size_t)MIN((int64_t)sizeof(zeros), offset_bytes - at));
		if (library->write_data(packing->to, block, len_bytes) < 0)
			return pack_failed(packing, packing->to, path, error);
		at += (int64_t)len_bytes;
	}
	return rc == ARCHIVE_EOF || pack_failed(packing, from, path, error);
}

/* One file or folder; its path in the archive begins behind skip_bytes of the one that it has here. */
static bool copy_entry(struct packing *packing, struct archive *from, struct archive_entry *entry, size_t skip_bytes, GError **error)
{
	const struct library *library = &packing->library;
	g_autofree char *path = g_strdup(library->entry_pathname(entry));
	const char *inside = path + MIN(skip_bytes, strlen(path));

	while (*inside == '/')
		inside++;
	if (*inside == '\0')
		return true;
	g_autofree char *name = g_strdup(inside);
	library->entry_set_pathname(entry, name);
	/* Each name gets its own contents: an initramfs has no inodes that outlive it. */
	library->entry_set_nlink(entry, 1);
	if (library->write_header(packing->to, entry) != ARCHIVE_OK)
		return pack_failed(packing, packing->to, path, error);
	if (library->entry_filetype(entry) != AE_IFREG || library->entry_size(entry) == 0)
		return true;
	packing->payload_bytes += (uint64_t)library->entry_size(entry);
	return add_contents(packing, from, path, error);
}

/* A folder with all that is below, or a file. */
static bool copy_tree(struct packing *packing, const char *path, size_t skip_bytes, GError **error)
{
	const struct library *library = &packing->library;
	struct archive *from = library->read_disk_new();
	bool ok = library->read_disk_set_symlink_physical(from) == ARCHIVE_OK && library->read_disk_open(from, path) == ARCHIVE_OK;
	int rc = ARCHIVE_OK;

	if (!ok)
		(void)pack_failed(packing, from, path, error);
	while (ok) {
		struct archive_entry *entry = library->entry_new();

		rc = library->read_next_header2(from, entry);
		if (rc == ARCHIVE_OK || rc == ARCHIVE_WARN) {
			ok = copy_entry(packing, from, entry, skip_bytes, error);
			if (ok && library->read_disk_can_descend(from))
				(void)library->read_disk_descend(from);
		} else if (rc != ARCHIVE_EOF) {
			ok = pack_failed(packing, from, path, error);
		}
		library->entry_free(entry);
		if (rc == ARCHIVE_EOF)
			break;
	}
	library->read_free(from);
	return ok;
}

static bool add_command(struct packing *packing, const struct exec_root *root, GError **error)
{
	g_autoptr(GByteArray) words = g_byte_array_new();

	g_byte_array_append(words, (const guint8 *)root->cwd, (guint)strlen(root->cwd) + 1);
	for (char **word = root->command; *word; word++)
		g_byte_array_append(words, (const guint8 *)*word, (guint)strlen(*word) + 1);
	return add(packing, EXEC_COMMAND_NAME, S_IFREG | 0444, words->data, words->len, error);
}

/* The folders on the way to a file, then the file. */
static bool add_program(struct packing *packing, const char *path, GError **error)
{
	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		g_autofree char *folder = g_strndup(path + 1, (gsize)(slash - path - 1));

		if (!add(packing, folder, S_IFDIR | 0755, NULL, 0, error))
			return false;
	}
	return copy_tree(packing, path, 0, error);
}

static bool add_modules(struct packing *packing, char **paths, GError **error)
{
	for (unsigned int i = 0; paths && paths[i]; i++) {
		g_autofree char *name = g_strdup_printf(EXEC_MODULE_NAME "%02u", i), *bytes = NULL;
		g_autoptr(GError) read_error = NULL;
		gsize len_bytes;

		if (i == EXEC_ROOT_MODULES_MAX)
			return refuse_usage(error, "--module: there are more than %u", EXEC_ROOT_MODULES_MAX);
		if (!g_file_get_contents(paths[i], &bytes, &len_bytes, &read_error)) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "--module: %s", read_error->message);
			return false;
		}
		if (!add(packing, name, S_IFREG | 0444, bytes, len_bytes, error))
			return false;
	}
	return true;
}

static bool pack(struct packing *packing, const struct exec_root *root, GError **error)
{
	/* The kernel opens the console for init before init can make the node. */
	return add(packing, "dev", S_IFDIR | 0755, NULL, 0, error) &&
	       add(packing, "dev/console", S_IFCHR | 0600, NULL, 0, error) &&
	       (!root->folder || copy_tree(packing, root->folder, strlen(root->folder), error)) &&
	       (!root->program || add_program(packing, root->program, error)) &&
	       add(packing, EXEC_INIT_NAME, S_IFREG | 0555, EXEC_INIT_PROGRAM, sizeof(EXEC_INIT_PROGRAM), error) &&
	       add_modules(packing, root->modules, error) && add_command(packing, root, error);
}

static int open_nameless(GError **error)
{
	int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		fd = memfd_create("root", MFD_CLOEXEC);
	if (fd < 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "--root: no temporary file in %s: %s", g_get_tmp_dir(),
			    g_strerror(errno));
	return fd;
}

int exec_root_pack(const struct exec_root *root, uint64_t *payload_bytes, GError **error)
{
	struct packing packing = { 0 };

	if (!load(&packing.library, error))
		return -1;
	int fd = open_nameless(error);
	if (fd < 0)
		return -1;
	packing.to = packing.library.write_new();
	bool ok = packing.library.write_set_format_cpio_newc(packing.to) == ARCHIVE_OK &&
		  packing.library.write_open_fd(packing.to, fd) == ARCHIVE_OK;
	if (!ok)
		(void)pack_failed(&packing, packing.to, "the archive", error);
	ok = ok && pack(&packing, root, error);
	if (ok && packing.library.write_close(packing.to) != ARCHIVE_OK)
		ok = pack_failed(&packing, packing.to, "the archive", error);
	packing.library.write_free(packing.to);
	*payload_bytes = packing.payload_bytes;
	if (ok)
		return fd;
	close(fd);
	return -1;
}
