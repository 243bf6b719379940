// SPDX-License-Identifier: MIT
/* System calls: socket, connect, mkdtemp, pidfd_open, unlink, rmdir; in qemu-nbd before it starts: prctl, unshare. */
#include "backend/nbd_server.h"

#include <errno.h>
#include <netdb.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "backend/helper_program.h"
#include "config/guest_config.h"
#include "vmm/error.h"

#define CONNECT_LIMIT_S 10
#define NBD_PORT        "10809"

/* Words of a URI */

static GUri *parse_uri(const char *text, GError **error)
{
	GUri *uri = g_uri_parse(text, G_URI_FLAGS_NONE, NULL);
	const char *scheme = uri ? g_uri_get_scheme(uri) : "";

	if (g_str_equal(scheme, "nbd") && g_uri_get_host(uri) && *g_uri_get_host(uri))
		return uri;
	if (g_str_equal(scheme, "nbd+unix"))
		return uri;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s", text,
		    g_str_has_prefix(scheme, "nbds") ?
			    "dom1 speaks NBD without TLS: let a proxy do that (qemu-nbd, nbdkit nbd), and give its nbd+unix: URI" :
			    "not a URI of an NBD server: nbd://HOST[:PORT][/EXPORT] or nbd+unix:///[EXPORT]?socket=PATH");
	if (uri)
		g_uri_unref(uri);
	return NULL;
}

char *nbd_uri_export(const char *text, GError **error)
{
	g_autoptr(GUri) uri = parse_uri(text, error);

	if (!uri)
		return NULL;
	const char *path = g_uri_get_path(uri);
	return g_strdup(*path == '/' ? path + 1 : path);
}

/* Sockets */

static int connect_error(const char *what, const char *why, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot connect: %s", what, why);
	return -1;
}

/* -1: errno says why. */
static int connect_to(int family, const struct sockaddr *address, socklen_t len_bytes)
{
	/* It holds for connect() too. */
	const struct timeval limit = { .tv_sec = CONNECT_LIMIT_S };
	const struct timeval none = { 0 };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, address, len_bytes) != 0) {
		const int saved = errno == EINPROGRESS ? ETIMEDOUT : errno;

		close(fd);
		errno = saved;
		return -1;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	return fd;
}

static int connect_to_path(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	return connect_to(AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

static int connect_to_host(const char *text, const char *host, int port, GError **error)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	g_autofree char *service = port > 0 ? g_strdup_printf("%d", port) : g_strdup(NBD_PORT);
	struct addrinfo *found;
	int rc = getaddrinfo(host, service, &hints, &found), fd = -1;

	if (rc != 0)
		return connect_error(text, gai_strerror(rc), error);
	for (const struct addrinfo *one = found; one && fd < 0; one = one->ai_next)
		fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen);
	freeaddrinfo(found);
	return fd >= 0 ? fd : connect_error(text, g_strerror(errno), error);
}

static int connect_to_socket(const char *text, const char *query, GError **error)
{
	g_autoptr(GHashTable) words = query ? g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL) : NULL;
	const char *path = words ? g_hash_table_lookup(words, "socket") : NULL;

	if (!path) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: say where the server listens: nbd+unix:///?socket=PATH", text);
		return -1;
	}
	const int fd = connect_to_path(path);
	return fd >= 0 ? fd : connect_error(text, g_strerror(errno), error);
}

int nbd_server_connect(const char *text, GError **error)
{
	g_autoptr(GUri) uri = parse_uri(text, error);

	if (!uri)
		return -1;
	return g_str_equal(g_uri_get_scheme(uri), "nbd") ?
		       connect_to_host(text, g_uri_get_host(uri), g_uri_get_port(uri), error) :
		       connect_to_socket(text, g_uri_get_query(uri), error);
}

/* qemu-nbd */

/* A qcow2 image may name others that it is based on, but has no business in the network. */
static void confine(gpointer unused)
{
	(void)unused;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	/*
	 * Who may not do so may in a user namespace, if the host lets him: the kernel still knows who he is, and which files
	 * are his.
	 */
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0)
		(void)unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC);
}

/* As the value of an option of QEMU's: a comma is written twice. */
static char *quoted(const char *path)
{
	g_autofree char *full = g_canonicalize_filename(path, NULL);
	g_auto(GStrv) pieces = g_strsplit(full, ",", -1);

	return g_strjoinv(",,", pieces);
}

static GPtrArray *command(const char *program, const struct disk_config *disk, const char *folder)
{
	const char *cache = disk->cache == DISK_CACHE_DIRECT ? "none" : disk->cache == DISK_CACHE_UNSAFE ? "unsafe" : "writeback";
	g_autofree char *path = quoted(disk->target);
	const char *driver = g_file_test(disk->target, G_FILE_TEST_IS_REGULAR) ? "file" : "host_device";
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(words, g_strdup(program));
	g_ptr_array_add(words, g_strdup("--fork"));
	g_ptr_array_add(words, g_strdup("--shared=1"));
	g_ptr_array_add(words, g_strdup_printf("--cache=%s", cache));
	g_ptr_array_add(words, g_strdup_printf("--discard=%s", disk->discard == DISK_DISCARD_OFF ? "ignore" : "unmap"));
	g_ptr_array_add(words, g_strdup_printf("--pid-file=%s/pid", folder));
	g_ptr_array_add(words, g_strdup_printf("--socket=%s/socket", folder));
	if (disk->readonly || disk->snapshot)
		g_ptr_array_add(words, g_strdup("--read-only"));
	g_ptr_array_add(words, g_strdup("--image-opts"));
	/* Said in full, or a name that looks like a protocol's would be taken for one. */
	g_ptr_array_add(words, g_strdup_printf("driver=qcow2,file.driver=%s,file.filename=%s", driver, path));
	g_ptr_array_add(words, NULL);
	return words;
}

static int pidfd_of(const char *pid_path, pid_t *pid)
{
	g_autofree char *text = NULL;

	*pid = g_file_get_contents(pid_path, &text, NULL, NULL) ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
	return *pid > 0 ? (int)syscall(SYS_pidfd_open, *pid, 0) : -1;
}

static int start_in(const char *folder, const char *program, const struct disk_config *disk, int *pidfd, GError **error)
{
	g_autofree char *socket_path = g_build_filename(folder, "socket", NULL);
	g_autofree char *pid_path = g_build_filename(folder, "pid", NULL);
	g_autoptr(GPtrArray) words = command(program, disk, folder);
	g_autofree char *why = helper_program_start(words, -1, confine);
	pid_t pid = 0;
	int fd = -1;

	if (why) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot use it as disk %s: qemu-nbd says: %s", disk->target,
			    disk->vdev, why);
	} else {
		*pidfd = pidfd_of(pid_path, &pid);
		fd = connect_to_path(socket_path);
		if (fd < 0) {
			connect_error(disk->target, g_strerror(errno), error);
			if (*pidfd >= 0)
				(void)syscall(SYS_pidfd_send_signal, *pidfd, SIGTERM, NULL, 0);
		}
	}
	(void)unlink(socket_path);
	(void)unlink(pid_path);
	return fd;
}

int nbd_server_start(const struct disk_config *disk, int *pidfd, GError **error)
{
	g_autofree char *program = g_find_program_in_path("qemu-nbd");
	g_autoptr(GError) own = NULL;

	*pidfd = -1;
	if (!program) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "%s: qemu-nbd, which reads qcow2 images, is not installed: apt install qemu-utils", disk->target);
		return -1;
	}
	g_autofree char *folder = g_dir_make_tmp("dom1-nbd-XXXXXX", &own);
	if (!folder) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: no folder for qemu-nbd's socket: %s", disk->target, own->message);
		return -1;
	}
	const int fd = start_in(folder, program, disk, pidfd, error);
	(void)g_rmdir(folder);
	if (fd < 0 && *pidfd >= 0) {
		close(*pidfd);
		*pidfd = -1;
	}
	return fd;
}
