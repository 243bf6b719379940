// SPDX-License-Identifier: MIT
#include "control/holders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

/* "lock:	1: FLOCK ADVISORY WRITE ..." is a line of a descriptor's fdinfo; some programs have several, of single bytes. */
static bool has_lock(pid_t pid, const char *fd_name, const char *kind)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fdinfo/%s", (int)pid, fd_name);
	g_autofree char *text = NULL;
	const char *lock;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	lock = strstr(text, "lock:");
	return lock && (!kind || strstr(lock, kind));
}

bool holder_is(pid_t pid, const struct stat *file, const char *kind, int except_fd)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool found = false;

	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		struct stat status;

		if (!g_ascii_isdigit(entry->d_name[0]) || (pid == getpid() && atoi(entry->d_name) == except_fd))
			continue;
		found = fstatat(dirfd(dir), entry->d_name, &status, 0) == 0 && status.st_ino == file->st_ino &&
			status.st_dev == file->st_dev && has_lock(pid, entry->d_name, kind);
	}
	closedir(dir);
	return found;
}

bool holder_signal(int lock_fd, pid_t pid, int signal)
{
	struct stat lock;
	/* First the process, then the question: what is asked about cannot become another process. */
	int pid_fd = pidfd_open(pid, 0);
	bool sent;

	if (pid_fd < 0)
		return false;
	sent = fstat(lock_fd, &lock) == 0 && holder_is(pid, &lock, "FLOCK", -1) && pidfd_send_signal(pid_fd, signal, NULL, 0) == 0;
	close(pid_fd);
	return sent;
}

bool holders_signal_all(int lock_fd, int signal)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	bool any = false;

	if (!dir)
		return false;
	while ((entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 1 && pid != getpid())
			any |= holder_signal(lock_fd, pid, signal);
	}
	closedir(dir);
	return any;
}
