// SPDX-License-Identifier: MIT
#include "vmm/run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/sandbox.h"
#include "vmm/error.h"

#define LOCK_FILE "lock"
#define PID_FILE  "pid"

static gboolean host_error(GError **error, const char *path, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: %s: %s; set XDG_RUNTIME_DIR to a folder of your own", path, what,
		    g_strerror(errno));
	return FALSE;
}

char *run_folder_parent_path(void)
{
	const char *runtime = g_getenv("XDG_RUNTIME_DIR");

	if (runtime && runtime[0] == '/')
		return g_build_filename(runtime, "dom1", NULL);
	if (geteuid() == 0)
		return g_strdup("/run/dom1");
	return g_strdup_printf("/tmp/dom1-%u", (unsigned int)geteuid());
}

/*
 * Ours, and closed to others. Root's are also those that it gave to a machine, and the one with the sticky bit in which
 * machines may remove what is theirs.
 */
static gboolean is_own(const struct stat *status)
{
	const mode_t shared = status->st_mode & (S_IWGRP | S_IWOTH);

	if (geteuid() != 0)
		return status->st_uid == geteuid() && shared == 0;
	if (status->st_uid == 0)
		return shared == 0 || (shared == S_IWGRP && status->st_gid == SANDBOX_USER_BASE && (status->st_mode & S_ISVTX));
	return sandbox_is_user(status->st_uid) && (shared == 0 || (shared == S_IWGRP && status->st_gid == 0));
}

/* In /tmp anybody could have made it before us: it must be a folder, ours, and closed to others. */
int run_folder_open_own(int at_fd, const char *path)
{
	struct stat status;
	int fd = openat(at_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	int problem = fstat(fd, &status) != 0 ? errno : is_own(&status) ? 0 : EPERM;
	if (problem == 0)
		return fd;
	close(fd);
	errno = problem;
	return -1;
}

static int make_own_folder(int at_fd, const char *path, bool *made)
{
	*made = mkdirat(at_fd, path, 0700) == 0;
	if (!*made && errno != EEXIST)
		return -1;
	return run_folder_open_own(at_fd, path);
}

/* 1: taken; 0: in use; -1: errno. */
static int try_lock(struct run_folder *folder)
{
	struct stat held, named;

	folder->lock_fd = openat(folder->fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (folder->lock_fd < 0)
		return -1;
	if (flock(folder->lock_fd, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK ? 0 : -1;
	/* Its last owner may have removed the file between our open and our lock: then we hold a lock on nothing. */
	if (fstat(folder->lock_fd, &held) == 0 && fstatat(folder->fd, LOCK_FILE, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
		return 1;
	errno = ESTALE;
	return -1;
}

static void write_pid(const struct run_folder *folder)
{
	int fd = openat(folder->fd, PID_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	dprintf(fd, "%d\n", (int)getpid());
	close(fd);
}

static void close_all(struct run_folder *folder)
{
	if (folder->lock_fd >= 0)
		close(folder->lock_fd);
	if (folder->fd >= 0)
		close(folder->fd);
	folder->lock_fd = folder->fd = -1;
}

static void remove_sockets(int fd)
{
	static const char *const sockets[] = { "control.sock", "xenstore.sock", "console.sock", "lend.sock" };

	for (size_t i = 0; i < G_N_ELEMENTS(sockets); i++)
		(void)unlinkat(fd, sockets[i], 0);
}

gboolean run_folder_take(struct run_folder *folder, const char *name, GError **error)
{
	enum { TRIES = 100 };
	g_autofree char *parent = run_folder_parent_path();
	g_autofree char *path = g_build_filename(parent, name, NULL);
	int taken = -1;
	bool made;

	*folder = (struct run_folder){ .parent_fd = -1, .fd = -1, .lock_fd = -1 };
	folder->parent_fd = make_own_folder(AT_FDCWD, parent, &made);
	if (folder->parent_fd < 0)
		return host_error(error, parent, "cannot make a folder for the domain");
	/* A domain of this name may end while we look: its folder vanishes under us, and we make it anew. */
	for (unsigned int i = 0; i < TRIES && taken < 1; i++) {
		/* dom1 list and others ask for the lock for a moment (control/folders.c); who holds it, still does later. */
		if (taken == 0)
			g_usleep(1000);
		taken = -1;
		close_all(folder);
		folder->fd = make_own_folder(folder->parent_fd, name, &made);
		if (folder->fd < 0 && errno == ENOENT)
			continue;
		if (folder->fd < 0)
			break;
		taken = try_lock(folder);
		if (taken < 0 && errno != ENOENT && errno != ESTALE)
			break;
	}
	if (taken == 1) {
		/* The name's last owner may have been killed: its sockets would be in the way. */
		remove_sockets(folder->fd);
		folder->name = g_strdup(name);
		write_pid(folder);
		return TRUE;
	}
	if (taken == 0)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--name=%s: a domain of this name runs already; choose another",
			    name);
	else {
		host_error(error, path, "cannot take the domain's name");
		/* If there is something in it by now, it is another one's, and stays. */
		if (made)
			(void)unlinkat(folder->parent_fd, name, AT_REMOVEDIR);
	}
	close_all(folder);
	close(folder->parent_fd);
	return FALSE;
}

/* By its group root can enter it, too, where it may not do what it wants. */
gboolean run_folder_give(const struct run_folder *folder, uid_t uid)
{
	struct stat parent;

	if (fstat(folder->parent_fd, &parent) != 0)
		return FALSE;
	/* Others may have done this before; a change of the owner takes the other bits away. */
	if ((parent.st_gid != SANDBOX_USER_BASE || (parent.st_mode & 07777) != 01730) &&
	    (fchown(folder->parent_fd, (uid_t)-1, SANDBOX_USER_BASE) != 0 || fchmod(folder->parent_fd, 01730) != 0))
		return FALSE;
	return fchown(folder->fd, uid, 0) == 0 && fchmod(folder->fd, 0770) == 0;
}

void run_folder_remove_at(int parent_fd, const char *name, int fd)
{
	remove_sockets(fd);
	(void)unlinkat(fd, PID_FILE, 0);
	(void)unlinkat(fd, LOCK_FILE, 0);
	(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
}

void run_folder_release(struct run_folder *folder)
{
	if (!folder->name)
		return;
	run_folder_remove_at(folder->parent_fd, folder->name, folder->fd);
	close_all(folder);
	close(folder->parent_fd);
	g_free(folder->name);
	folder->name = NULL;
}
