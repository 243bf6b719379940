// SPDX-License-Identifier: MIT
// Xenstore for the small guest: see USAGE.
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xen/io/xs_wire.h>

#define DEVICE "/dev/xen/xenbus"

#define USAGE "usage: xenstore read PATH | write PATH VALUE | list PATH | rm PATH | count PATH NUMBER\n"

static const struct command {
	const char *name;
	uint32_t type;
	int n_arguments;
} COMMANDS[] = {
	{ "read", XS_READ, 1 },
	{ "write", XS_WRITE, 2 },
	{ "list", XS_DIRECTORY, 1 },
	{ "rm", XS_RM, 1 },
};

static bool read_all(int fd, void *to, size_t len_bytes)
{
	char *at = to;

	while (len_bytes > 0) {
		ssize_t got = read(fd, at, len_bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		len_bytes -= (size_t)got;
	}
	return true;
}

/* The device takes a request as one write. A path ends with a NUL, a value does not. */
static bool send_request(int fd, uint32_t type, const char *path, const char *value)
{
	char request[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	size_t path_bytes = strlen(path) + 1, value_bytes = value ? strlen(value) : 0;
	struct xsd_sockmsg header = { .type = type, .len = (uint32_t)(path_bytes + value_bytes) };

	if (path_bytes + value_bytes > XENSTORE_PAYLOAD_MAX) {
		errno = E2BIG;
		return false;
	}
	memcpy(request, &header, sizeof(header));
	memcpy(request + sizeof(header), path, path_bytes);
	if (value)
		memcpy(request + sizeof(header) + path_bytes, value, value_bytes);
	size_t len_bytes = sizeof(header) + path_bytes + value_bytes;
	return write(fd, request, len_bytes) == (ssize_t)len_bytes;
}

static void print_reply(uint32_t type, char *payload, size_t len_bytes)
{
	if (type == XS_DIRECTORY) {
		for (size_t at = 0; at < len_bytes; at += strlen(payload + at) + 1)
			puts(payload + at);
	} else if (type == XS_READ) {
		printf("%.*s\n", (int)len_bytes, payload);
	}
}

static int run(const struct command *command, char **arguments)
{
	static char payload[XENSTORE_PAYLOAD_MAX + 1];
	struct xsd_sockmsg header;
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || !send_request(fd, command->type, arguments[0], command->n_arguments > 1 ? arguments[1] : NULL) ||
	    !read_all(fd, &header, sizeof(header)) || header.len > XENSTORE_PAYLOAD_MAX ||
	    !read_all(fd, payload, header.len)) {
		perror("xenstore: " DEVICE);
		return 1;
	}
	close(fd);
	payload[header.len] = '\0';
	if (header.type == XS_ERROR) {
		fprintf(stderr, "xenstore: %s %s: %s\n", command->name, arguments[0], payload);
		return 1;
	}
	print_reply(command->type, payload, header.len);
	return 0;
}

/* Writes 1, 2, ... NUMBER, one every 300 ms: a process that goes on without starting others. */
static int count(char *path, int number)
{
	char text[16];
	char *arguments[] = { path, text };
	int status = 0;

	for (int i = 1; status == 0 && i <= number; i++) {
		snprintf(text, sizeof(text), "%d", i);
		status = run(&COMMANDS[1], arguments);
		usleep(300000);
	}
	return status;
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(COMMANDS) / sizeof(COMMANDS[0]); i++)
		if (!strcmp(argv[1], COMMANDS[i].name) && argc == 2 + COMMANDS[i].n_arguments)
			return run(&COMMANDS[i], argv + 2);
	if (argc == 4 && !strcmp(argv[1], "count"))
		return count(argv[2], atoi(argv[3]));
	fputs(USAGE, stderr);
	return 2;
}
