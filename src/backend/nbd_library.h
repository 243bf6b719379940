// SPDX-License-Identifier: MIT
/*
 * libnbd, loaded when a disk needs it: with the libraries it needs itself it takes longer to load than all of dom1, and
 * domains without such a disk have none of its memory. Optional at build time.
 */
#pragma once

#include <stdbool.h>

#ifdef HAVE_LIBNBD
#include <libnbd.h>

/* The functions of <libnbd.h> that dom1 uses, by their names there without "nbd_". */
struct nbd_library {
	__typeof__(nbd_create) *create;
	__typeof__(nbd_close) *close;
	__typeof__(nbd_get_error) *get_error;
	__typeof__(nbd_get_errno) *get_errno;
	__typeof__(nbd_set_export_name) *set_export_name;
	__typeof__(nbd_set_pread_initialize) *set_pread_initialize;
	__typeof__(nbd_aio_connect_socket) *aio_connect_socket;
	__typeof__(nbd_poll) *poll;
	__typeof__(nbd_aio_is_connecting) *aio_is_connecting;
	__typeof__(nbd_aio_is_ready) *aio_is_ready;
	__typeof__(nbd_get_size) *get_size;
	__typeof__(nbd_get_block_size) *get_block_size;
	__typeof__(nbd_is_read_only) *is_read_only;
	__typeof__(nbd_can_flush) *can_flush;
	__typeof__(nbd_can_trim) *can_trim;
	__typeof__(nbd_aio_get_fd) *aio_get_fd;
	__typeof__(nbd_aio_get_direction) *aio_get_direction;
	__typeof__(nbd_aio_notify_read) *aio_notify_read;
	__typeof__(nbd_aio_notify_write) *aio_notify_write;
	__typeof__(nbd_aio_pread) *aio_pread;
	__typeof__(nbd_aio_pwrite) *aio_pwrite;
	__typeof__(nbd_aio_flush) *aio_flush;
	__typeof__(nbd_aio_trim) *aio_trim;
};

/* False: *why is a line of text, valid until the next call. It is never closed. */
bool nbd_library_open(struct nbd_library *library, const char **why);
#endif
