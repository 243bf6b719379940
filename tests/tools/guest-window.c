// SPDX-License-Identifier: MIT
/*
 * Runs in the guest: maps a file, as a BAR's in sysfs, or a file of a file system with DAX, and uses its memory by loads and
 * stores, as a program would.
 * usage: window FILE ACTION...
 *   read OFFSET         the 8 bytes there
 *   write OFFSET VALUE
 *   await OFFSET VALUE  looks again and again until they are VALUE
 *   sum OFFSET LENGTH   of all 8-byte words
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t number(char **words)
{
	if (!*words) {
		fprintf(stderr, "window: a number is missing\n");
		exit(2);
	}
	return strtoull(*words, NULL, 0);
}

static volatile uint64_t *at(uint8_t *memory, uint64_t offset)
{
	return (volatile uint64_t *)(void *)(memory + offset);
}

static char **act(uint8_t *memory, char **words)
{
	const char *action = words[0];
	uint64_t offset = number(words + 1), sum = 0;

	if (strcmp(action, "read") == 0) {
		printf("%s 0x%llx: 0x%llx\n", action, (unsigned long long)offset, (unsigned long long)*at(memory, offset));
		return words + 2;
	}
	uint64_t value = number(words + 2);
	if (strcmp(action, "write") == 0) {
		*at(memory, offset) = value;
	} else if (strcmp(action, "await") == 0) {
		while (*at(memory, offset) != value)
			;
	} else if (strcmp(action, "sum") == 0) {
		for (uint64_t i = 0; i < value; i += sizeof(uint64_t))
			sum += *at(memory, offset + i);
		value = sum;
	} else {
		fprintf(stderr, "window: %s?\n", action);
		exit(2);
	}
	printf("%s 0x%llx: 0x%llx\n", action, (unsigned long long)offset, (unsigned long long)value);
	return words + 3;
}

int main(int argc, char **argv)
{
	struct stat facts;
	int fd = argc > 2 ? open(argv[1], O_RDWR) : -1;

	if (fd < 0 || fstat(fd, &facts) != 0) {
		perror("window");
		return 1;
	}
	uint8_t *memory = mmap(NULL, (size_t)facts.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		perror("window: mmap");
		return 1;
	}
	setlinebuf(stdout);
	for (char **words = argv + 2; *words;)
		words = act(memory, words);
	return 0;
}
