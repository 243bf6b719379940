// SPDX-License-Identifier: MIT
/*
 * The folder of a running domain: $XDG_RUNTIME_DIR/dom1/NAME, else /run/dom1/NAME for root, /tmp/dom1-UID/NAME for
 * others. The name is taken while the lock file in it is locked; a folder whose lock is free is stale, and goes.
 */
#pragma once

#include <sys/types.h>

#include <glib.h>

/* Where the folders of all domains of this user are; g_free(). */
char *run_folder_parent_path(void);

/*
 * A folder that is ours alone to write to, or that of a machine which root launched. -1 and errno; EPERM: in /tmp it may be
 * anybody's.
 */
int run_folder_open_own(int at_fd, const char *path);

struct run_folder {
	char *name;
	int parent_fd;
	int fd;
	int lock_fd; /* inherited by the machine: the name stays taken until both are gone */
};

/* DOM1_STATUS_USAGE: the name is in use; DOM1_STATUS_HOST: no folder can be made, or it is not ours. */
gboolean run_folder_take(struct run_folder *folder, const char *name, GError **error);
/* Removes the folder, frees the name. */
void run_folder_release(struct run_folder *folder);

/*
 * Lets a machine of this user (sandbox_user()) remove the folder and what is in it, when the launcher is not there any more.
 * FALSE: this host does not let root give files away.
 */
gboolean run_folder_give(const struct run_folder *folder, uid_t uid);

/* The removal alone, for a process that has nothing but the descriptors. */
void run_folder_remove_at(int parent_fd, const char *name, int fd);
