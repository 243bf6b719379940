// SPDX-License-Identifier: MIT
#include "backend/helper_program.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/one_line.h"

/* The last line of what it said in fd: that is why it ended. */
static char *last_line(int fd)
{
	char text[2048];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	text[MAX(got, 0)] = '\0';
	g_strchomp(text);
	const char *line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	return one_line(*line ? line : "it did not say why");
}

char *helper_program_start(const GPtrArray *words, int fd, GSpawnChildSetupFunc in_child)
{
	const int target_fd = HELPER_PROGRAM_FD, said_fd = memfd_create("helper", MFD_CLOEXEC);
	g_autoptr(GError) error = NULL;
	char *why = NULL;
	int status = 0;
	GPid pid;

	if (!g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)words->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, in_child,
					      NULL, -1, -1, said_fd, &fd, &target_fd, fd >= 0 ? 1 : 0, &pid, NULL, NULL, NULL,
					      &error)) {
		why = g_strdup(error->message);
	} else {
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			why = last_line(said_fd);
	}
	if (said_fd >= 0)
		close(said_fd);
	return why;
}
