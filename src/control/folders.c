// SPDX-License-Identifier: MIT
/*
 * Theory of operation: everything is done from descriptors of folders that were checked to be ours, so that nobody can
 * put another folder in the place of the checked one. Sockets are reached as /proc/self/fd/N/NAME: this also makes the
 * 108 bytes of sun_path enough for any $XDG_RUNTIME_DIR.
 *
 * Whether somebody holds the lock is asked by a shared lock that is given back at once. Two that ask do not disturb
 * each other; run_folder_take() may find it taken for that moment, and must look again.
 */
#include "control/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/vm_config.h"
#include "control/holders.h"
#include "vmm/error.h"
#include "vmm/run_folder.h"

#define LOCK_FILE "lock"
#define PID_FILE  "pid"
#define BACKLOG   16

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* -1 and no error: there is none, so no domain runs. */
static int open_parent(GError **error)
{
	g_autofree char *path = run_folder_parent_path();
	int fd = run_folder_open_own(AT_FDCWD, path);

	if (fd < 0 && errno != ENOENT)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: cannot read the folder of the domains: %s", path,
			    g_strerror(errno));
	return fd;
}

static bool is_name(const char *name)
{
	static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len_bytes = strlen(name);

	return len_bytes > 0 && len_bytes <= VM_CONFIG_NAME_MAX && name[strspn(name, characters)] == '\0' &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* FALSE: errno is set. A folder without a lock file has lock_fd -1. */
static bool open_at(struct domain_folder *folder, int parent_fd, const char *name)
{
	*folder = (struct domain_folder){ .parent_fd = fcntl(parent_fd, F_DUPFD_CLOEXEC, 3), .fd = -1, .lock_fd = -1 };
	if (folder->parent_fd >= 0)
		folder->fd = run_folder_open_own(folder->parent_fd, name);
	if (folder->fd < 0) {
		int saved_errno = errno;

		close_fd(&folder->parent_fd);
		errno = saved_errno;
		return false;
	}
	folder->lock_fd = openat(folder->fd, LOCK_FILE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	folder->name = g_strdup(name);
	return true;
}

void domain_folder_close(struct domain_folder *folder)
{
	close_fd(&folder->lock_fd);
	close_fd(&folder->fd);
	close_fd(&folder->parent_fd);
	g_clear_pointer(&folder->name, g_free);
}

bool domain_folder_is_live(const struct domain_folder *folder)
{
	if (folder->lock_fd < 0)
		return false;
	if (flock(folder->lock_fd, LOCK_SH | LOCK_NB) != 0)
		return errno == EWOULDBLOCK;
	flock(folder->lock_fd, LOCK_UN);
	return false;
}

void domain_folder_clean(const struct domain_folder *folder)
{
	struct stat held, named;

	/* Made a moment ago, or left half removed: it goes only if it is empty, and who makes it tries again. */
	if (folder->lock_fd < 0) {
		(void)unlinkat(folder->parent_fd, folder->name, AT_REMOVEDIR);
		return;
	}
	if (flock(folder->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return;
	/* Unless this is a lock on a file that its owner has removed, and the name is taken anew. */
	if (fstat(folder->lock_fd, &held) == 0 && fstatat(folder->fd, LOCK_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
		run_folder_remove_at(folder->parent_fd, folder->name, folder->fd);
	flock(folder->lock_fd, LOCK_UN);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char **list_at(int parent_fd)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	/* Of its own: closedir() closes it. */
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct domain_folder folder;

		if (!is_name(entry->d_name) || !open_at(&folder, parent_fd, entry->d_name))
			continue;
		if (domain_folder_is_live(&folder))
			g_ptr_array_add(names, g_strdup(entry->d_name));
		else
			domain_folder_clean(&folder);
		domain_folder_close(&folder);
	}
	if (dir)
		closedir(dir);
	else
		close_fd(&fd);
	g_ptr_array_sort(names, compare_names);
	g_ptr_array_add(names, NULL);
	return (char **)g_ptr_array_steal(names, NULL);
}

char **folders_list(GError **error)
{
	GError *problem = NULL;
	int parent_fd = open_parent(&problem);

	if (problem) {
		g_propagate_error(error, problem);
		return NULL;
	}
	if (parent_fd < 0)
		return g_new0(char *, 1);
	char **names = list_at(parent_fd);
	close(parent_fd);
	return names;
}

static gboolean no_such_domain(const char *name, GError **error)
{
	g_autofree char *shown = g_strescape(name, NULL);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
		    "%s: no domain of this name runs (dom1 list shows those that do)", shown);
	return FALSE;
}

gboolean domain_folder_open(struct domain_folder *folder, const char *name, GError **error)
{
	GError *problem = NULL;
	int parent_fd = is_name(name) ? open_parent(&problem) : -1;

	*folder = (struct domain_folder){ .parent_fd = -1, .fd = -1, .lock_fd = -1 };
	if (problem) {
		g_propagate_error(error, problem);
		return FALSE;
	}
	if (parent_fd < 0)
		return no_such_domain(name, error);
	bool opened = open_at(folder, parent_fd, name);
	close(parent_fd);
	if (!opened)
		return no_such_domain(name, error);
	if (domain_folder_is_live(folder))
		return TRUE;
	domain_folder_clean(folder);
	domain_folder_close(folder);
	return no_such_domain(name, error);
}

/* The address of a socket in the folder, however long the folder's own path is. */
static void set_address(struct sockaddr_un *address, int folder_fd, const char *socket_name)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", folder_fd, socket_name);
}

static int connect_error(const char *name, const char *socket_name, GError **error)
{
	if (errno == EAGAIN)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_TIMEOUT, "%s: does not answer (dom1 destroy %s ends it)",
			    name, name);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "%s: cannot connect to %s: %s; it is just starting or ending", name, socket_name,
			    g_strerror(errno));
	return -1;
}

int domain_folder_connect(const struct domain_folder *folder, const char *socket_name, unsigned int timeout_ms,
			  GError **error)
{
	const struct timeval timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return connect_error(folder->name, socket_name, error);
	set_address(&address, folder->fd, socket_name);
	/* Of zero, it means no bound. The one for sending is connect()'s too: who hangs has a full backlog. */
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	int saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return connect_error(folder->name, socket_name, error);
}

void domain_folder_call_error(const char *name, const char *socket_name, GError **error)
{
	if (errno == EAGAIN)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_TIMEOUT, "%s: does not answer (dom1 destroy %s ends it)", name, name);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_DEFECT, "%s: %s: %s", name, socket_name, g_strerror(errno));
}

int folder_listen(int folder_fd, const char *socket_name, GError **error)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	set_address(&address, folder_fd, socket_name);
	/* The lock is ours: a socket that is there already was left by somebody who was killed. */
	(void)unlinkat(folder_fd, socket_name, 0);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: cannot make the socket: %s", socket_name,
		    g_strerror(errno));
	close_fd(&fd);
	return -1;
}

pid_t domain_folder_pid(const struct domain_folder *folder)
{
	char text[32];
	int fd = openat(folder->fd, PID_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t got = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	close_fd(&fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	return (pid_t)CLAMP(strtol(text, NULL, 10), 0, G_MAXINT32);
}

bool domain_folder_signal_launcher(const struct domain_folder *folder, int signal)
{
	pid_t pid = domain_folder_pid(folder);

	/* 1 is nobody's launcher, and 0 is our own process group. */
	return pid > 1 && folder->lock_fd >= 0 && holder_signal(folder->lock_fd, pid, signal);
}

bool domain_folder_signal_all(const struct domain_folder *folder, int signal)
{
	return folder->lock_fd >= 0 && holders_signal_all(folder->lock_fd, signal);
}
