// SPDX-License-Identifier: MIT
#include "lend/mapper_trace.h"

#include "vmm/trace.h"

static int trace_close(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "close", window, page, n_pages);
	return self->mapper->close(self->opaque, window, page, n_pages);
}

static int trace_drop(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "drop", window, page, n_pages);
	return self->mapper->drop(self->opaque, window, page, n_pages);
}

static int trace_arm(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "arm", window, page, n_pages);
	return self->mapper->arm(self->opaque, window, page, n_pages);
}

static int trace_show(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd, uint64_t fd_offset_bytes,
		      bool writable)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, writable ? "show" : "show-readonly", window, page, n_pages);
	return self->mapper->show(self->opaque, window, page, n_pages, fd, fd_offset_bytes, writable);
}

static int trace_zero(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "zero", window, page, n_pages);
	return self->mapper->zero(self->opaque, window, page, n_pages);
}

static int pass_copy(void *opaque, unsigned int window, size_t page, size_t offset_bytes, void *bytes, size_t len_bytes,
		     bool to_guest)
{
	const struct mapper_trace *self = opaque;

	return self->mapper->copy(self->opaque, window, page, offset_bytes, bytes, len_bytes, to_guest);
}

static bool pass_view(void *opaque, size_t page, int fd, uint64_t fd_offset_bytes, bool writable, struct lend_view *view)
{
	const struct mapper_trace *self = opaque;

	return self->mapper->in_place && self->mapper->in_place->view(self->opaque, page, fd, fd_offset_bytes, writable, view);
}

static int trace_show_in_place(void *opaque, unsigned int window, size_t page, size_t n_pages, int fd,
			       uint64_t fd_offset_bytes, bool writable)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, writable ? "show-in-place" : "show-in-place-readonly", window, page, n_pages);
	return self->mapper->in_place->show(self->opaque, window, page, n_pages, fd, fd_offset_bytes, writable);
}

static int trace_empty(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "empty", window, page, n_pages);
	return self->mapper->in_place->empty(self->opaque, window, page, n_pages);
}

static int trace_arm_in_place(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "arm-in-place", window, page, n_pages);
	return self->mapper->in_place->arm(self->opaque, window, page, n_pages);
}

static int trace_refill(void *opaque, unsigned int window, size_t page, size_t n_pages)
{
	const struct mapper_trace *self = opaque;

	trace_lend(self->trace, "refill", window, page, n_pages);
	return self->mapper->in_place->refill(self->opaque, window, page, n_pages);
}

static const struct lend_mapper_in_place TRACE_IN_PLACE = {
	.view = pass_view, .show = trace_show_in_place, .empty = trace_empty, .arm = trace_arm_in_place, .refill = trace_refill,
};

const struct lend_mapper MAPPER_TRACE = {
	.in_place = &TRACE_IN_PLACE, .close = trace_close, .drop = trace_drop, .arm = trace_arm, .show = trace_show, .zero = trace_zero, .copy = pass_copy,
};
