// SPDX-License-Identifier: MIT
/*
 * Other people's domains: those that run, seen from a command. "People" are processes of the same user: the folders of
 * others are elsewhere, and closed.
 *
 * A domain runs while the lock of its folder is held (vmm/run_folder.h). What is found without a holder was left by a
 * process that was killed, and is removed.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include <glib.h>

struct domain_folder {
	char *name;
	int parent_fd;
	int fd;
	int lock_fd; /* not locked by us */
};

/* The names of the domains that run, sorted, NULL at the end. NULL: DOM1_STATUS_HOST. g_strfreev() */
char **folders_list(GError **error);

/* FALSE: DOM1_STATUS_USAGE, no domain of this name runs; DOM1_STATUS_HOST: the folder cannot be read. */
gboolean domain_folder_open(struct domain_folder *folder, const char *name, GError **error);
void domain_folder_close(struct domain_folder *folder);

/* Whether it still runs. */
bool domain_folder_is_live(const struct domain_folder *folder);
/* Removes what a killed process left; nothing happens while the domain runs. */
void domain_folder_clean(const struct domain_folder *folder);

/*
 * A blocking connection to one of its sockets ("control.sock"); timeout_ms bounds each call on it, 0: no bound. -1:
 * DOM1_STATUS_TIMEOUT when nobody answers, DOM1_STATUS_USAGE when there is no such socket (any more).
 */
int domain_folder_connect(const struct domain_folder *folder, const char *socket_name, unsigned int timeout_ms,
			  GError **error);

/* What errno says of a call on such a connection, other than that it has ended. */
void domain_folder_call_error(const char *name, const char *socket_name, GError **error);

/*
 * For the owner of a folder: a listening, non-blocking socket in it. The path's length does not matter. -1:
 * DOM1_STATUS_HOST.
 */
int folder_listen(int folder_fd, const char *socket_name, GError **error);

/*
 * Sends a signal to the process that wrote "pid" (the launcher), if that is still who holds the lock: a number alone
 * may be somebody else's by now. FALSE: it is not.
 */
bool domain_folder_signal_launcher(const struct domain_folder *folder, int signal);
/* The same to every process that holds the lock: launcher and machine. FALSE: none was found. */
bool domain_folder_signal_all(const struct domain_folder *folder, int signal);
/* What "pid" says; 0: nothing. */
pid_t domain_folder_pid(const struct domain_folder *folder);
