// SPDX-License-Identifier: MIT
/* Who has locked an image, as far as /proc shows it: the owners of what we may not look at stay unknown. */
#include "backend/block_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/folders.h"
#include "control/holders.h"

/* The domain whose launcher it is, or the launcher of the process. NULL: none. */
static char *domain_of(pid_t pid)
{
	g_auto(GStrv) names = folders_list(NULL);
	char *found = NULL;

	for (size_t i = 0; names && names[i] && !found; i++) {
		struct domain_folder folder;

		if (!domain_folder_open(&folder, names[i], NULL))
			continue;
		if (domain_folder_pid(&folder) == pid)
			found = g_strdup(names[i]);
		domain_folder_close(&folder);
	}
	return found;
}

static char *describe(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
	g_autofree char *comm = NULL;
	g_autofree char *domain = domain_of(pid);

	if (pid == getpid())
		return g_strdup("another disk of this domain");
	if (domain)
		return g_strdup_printf("domain %s (process %d)", domain, (int)pid);
	if (!g_file_get_contents(path, &comm, NULL, NULL))
		return g_strdup_printf("process %d", (int)pid);
	return g_strdup_printf("process %d (%s)", (int)pid, g_strchomp(comm));
}

char *block_holder_describe(int fd)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	struct stat image;
	pid_t found = 0;

	if (!dir || fstat(fd, &image) != 0) {
		if (dir)
			closedir(dir);
		return NULL;
	}
	/* Launcher and machine hold it together: the launcher, which is the older one, comes first. */
	while (!found && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && holder_is(pid, &image, NULL, fd))
			found = pid;
	}
	closedir(dir);
	return found ? describe(found) : NULL;
}
