// SPDX-License-Identifier: MIT
/* The person's terminal: raw while the guest has it, and put back as it was, whatever happens. */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct tty {
	int fd; /* -1: standard input is no terminal */
	struct termios state; /* as it was */
};

/* fd is made raw if it is a terminal; else nothing happens. */
void tty_enter_raw(struct tty *tty, int fd);
void tty_restore(const struct tty *tty);

/*
 * A descriptor of its own for the same file as fd, non-blocking: setting O_NONBLOCK on fd itself would change it for
 * the shell and everybody else who shares it. -1: this kind of file cannot be opened again (a socket); errno is set.
 */
int tty_reopen_nonblocking(int fd, int open_flags);
