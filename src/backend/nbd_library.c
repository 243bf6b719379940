// SPDX-License-Identifier: MIT
#include "backend/nbd_library.h"

#ifdef HAVE_LIBNBD
#include <stddef.h>

#include "vmm/shared_library.h"

bool nbd_library_open(struct nbd_library *library, const char **why)
{
#define FUNCTION(name) { offsetof(struct nbd_library, name), "nbd_" #name }
	static const struct shared_function functions[] = {
		FUNCTION(create),
		FUNCTION(close),
		FUNCTION(get_error),
		FUNCTION(get_errno),
		FUNCTION(set_export_name),
		FUNCTION(set_pread_initialize),
		FUNCTION(aio_connect_socket),
		FUNCTION(poll),
		FUNCTION(aio_is_connecting),
		FUNCTION(aio_is_ready),
		FUNCTION(get_size),
		FUNCTION(get_block_size),
		FUNCTION(is_read_only),
		FUNCTION(can_flush),
		FUNCTION(can_trim),
		FUNCTION(aio_get_fd),
		FUNCTION(aio_get_direction),
		FUNCTION(aio_notify_read),
		FUNCTION(aio_notify_write),
		FUNCTION(aio_pread),
		FUNCTION(aio_pwrite),
		FUNCTION(aio_flush),
		FUNCTION(aio_trim),
	};
#undef FUNCTION

	return shared_library_open("libnbd.so.0", library, functions, sizeof(functions) / sizeof(functions[0]), why);
}
#endif
