// SPDX-License-Identifier: MIT
/*
 * What the shim logs: copied to a file, and read line by line for the phases of its boot and for its death. A shim
 * that panics waits for seconds before it asks for a shutdown; the log tells at once. And only the log tells how much
 * memory the shim has left for its guest, which the guest's balloon must know. Where there is no shim, it is the guest's
 * own log: text, that nothing is read from (Linux with earlyprintk=xen says "Xen version" too).
 *
 * Thread: any vCPU's; it has a lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vm;

struct shim_log {
	pthread_mutex_t lock;
	int fd; /* -1: to no file */
	bool panicking; /* the next line says why */
	_Atomic uint64_t shim_pages; /* what the shim keeps of the memory for itself; 0: it has not said yet */
	size_t line_bytes;
	char line[256]; /* what is longer is cut, in here and not in the file */
};

void shim_log_init(struct shim_log *log, int fd);
void shim_log_write(struct shim_log *log, struct vm *vm, const char *text, size_t len_bytes);
