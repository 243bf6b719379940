// SPDX-License-Identifier: MIT
#include "vmm/tty.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void tty_enter_raw(struct tty *tty, int fd)
{
	struct termios raw;

	tty->fd = -1;
	if (!isatty(fd) || tcgetattr(fd, &tty->state) != 0)
		return;
	raw = tty->state;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSADRAIN, &raw) == 0)
		tty->fd = fd;
}

void tty_restore(const struct tty *tty)
{
	if (tty->fd >= 0)
		(void)tcsetattr(tty->fd, TCSADRAIN, &tty->state);
}

int tty_reopen_nonblocking(int fd, int open_flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, open_flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}
