// SPDX-License-Identifier: MIT
#include "backend/console_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

int console_files_open_pty(struct console_files *files, char **name)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno;
	if (grantpt(fd) != 0 || unlockpt(fd) != 0) {
		int saved = errno;

		close(fd);
		return saved;
	}
	/* Until somebody opens the other side, it looks hung up; opening it once makes sure that it does. */
	int other_fd = open(ptsname(fd), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (other_fd >= 0) {
		struct termios raw;

		if (tcgetattr(other_fd, &raw) == 0) {
			cfmakeraw(&raw);
			tcsetattr(other_fd, TCSANOW, &raw);
		}
		close(other_fd);
	}
	*name = g_strdup(ptsname(fd));
	files->in_fd = files->out_fd = fd;
	files->out_is_pty = true;
	return 0;
}

int console_files_listen(struct console_files *files, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0) {
		int saved = errno;

		close(fd);
		return saved;
	}
	files->listen_fd = fd;
	return 0;
}
