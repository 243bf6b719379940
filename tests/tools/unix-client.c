// SPDX-License-Identifier: MIT
/* Connects to a UNIX stream socket: standard input goes there, what comes goes to standard output, until it ends. */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* FALSE: FROM has ended. */
static bool pass(int from, int to)
{
	char bytes[4096];
	ssize_t got = read(from, bytes, sizeof(bytes));

	for (ssize_t at = 0; at < got;) {
		ssize_t written = write(to, bytes + at, (size_t)(got - at));

		if (written <= 0)
			return false;
		at += written;
	}
	return got > 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) {
		fputs("usage: unix-client PATH\n", stderr);
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		perror(argv[1]);
		return 1;
	}
	struct pollfd polls[] = { { .fd = fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	for (;;) {
		if (poll(polls, 2, -1) < 0)
			return 1;
		if (polls[0].revents && !pass(fd, STDOUT_FILENO))
			return 0;
		if (polls[1].revents && !pass(STDIN_FILENO, fd))
			polls[1].fd = -1;
	}
}
