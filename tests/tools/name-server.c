// SPDX-License-Identifier: MIT
/*
 * A name server on 127.0.0.1 that knows one name, by UDP, until it is killed. All other names it does not know.
 *
 * usage: name-server NAME ADDRESS
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEADER_BYTES   12u
#define MESSAGE_BYTES  512u /* RFC 1035, 4.2.1 */
#define QUESTION_BYTES 4u   /* behind the name: type and class */

/* The name in text; how many bytes of the message it has, 0: too many. */
static size_t read_name(const uint8_t *at, size_t left_bytes, char *text, size_t text_bytes)
{
	size_t n = 0, n_text = 0;

	while (n < left_bytes && at[n] != 0) {
		if (n + 1u + at[n] >= left_bytes || n_text + at[n] + 2u > text_bytes)
			return 0;
		memcpy(text + n_text, at + n + 1, at[n]);
		n_text += at[n];
		text[n_text++] = '.';
		n += 1u + at[n];
	}
	text[n_text > 0 ? n_text - 1 : 0] = '\0';
	return n < left_bytes ? n + 1 : 0;
}

/* Makes the answer of the question; its length, 0: it is none. */
static size_t answer(uint8_t *message, size_t len_bytes, const char *known, const struct in_addr *address)
{
	/* The question's name, type A, class IN, a minute, four bytes. */
	static const uint8_t record[] = {0xc0, HEADER_BYTES, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	char name[256];

	if (len_bytes <= HEADER_BYTES)
		return 0;
	const size_t name_bytes = read_name(message + HEADER_BYTES, len_bytes - HEADER_BYTES, name, sizeof(name));
	const size_t end = HEADER_BYTES + name_bytes + QUESTION_BYTES;
	if (name_bytes == 0 || end > len_bytes || end + sizeof(record) + sizeof(*address) > MESSAGE_BYTES)
		return 0;
	const int is_known = strcasecmp(name, known) == 0 && message[end - 3] == 1;
	/* An answer, recursion is there; 3: no such name. One question, and perhaps one record. */
	message[2] = 0x81;
	message[3] = is_known ? 0x80 : 0x83;
	memset(message + 6, 0, HEADER_BYTES - 6);
	message[7] = (uint8_t)is_known;
	if (!is_known)
		return end;
	memcpy(message + end, record, sizeof(record));
	memcpy(message + end + sizeof(record), address, sizeof(*address));
	return end + sizeof(record) + sizeof(*address);
}

int main(int argc, char **argv)
{
	const struct sockaddr_in here = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint8_t message[MESSAGE_BYTES];
	struct in_addr address;

	if (argc != 3 || inet_pton(AF_INET, argv[2], &address) != 1) {
		fputs("usage: name-server NAME ADDRESS\n", stderr);
		return 2;
	}
	if (fd < 0 || bind(fd, (const struct sockaddr *)&here, sizeof(here)) != 0) {
		perror("name-server");
		return 1;
	}
	for (;;) {
		struct sockaddr_in asker;
		socklen_t asker_bytes = sizeof(asker);
		ssize_t got = recvfrom(fd, message, sizeof(message), 0, (struct sockaddr *)&asker, &asker_bytes);
		size_t len_bytes = got > 0 ? answer(message, (size_t)got, argv[1], &address) : 0;

		if (len_bytes > 0)
			(void)sendto(fd, message, len_bytes, 0, (const struct sockaddr *)&asker, asker_bytes);
	}
}
