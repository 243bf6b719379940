// SPDX-License-Identifier: MIT
/*
 * The file of a saved domain, one section of which is the input (the first byte says which; 0: all bytes are the file's beginning).
 * Sums are right, so that what reads the section sees it. What is taken is a domain that there can be.
 */
#include <string.h>

#include "saved/sample.h"
#include "xen/domid.h"
#include "xen/xenstore/saved.h"

static void check(const struct saved_image *image)
{
	struct xs_conn *conn;
	struct xenstore *store = xenstore_restore(image->xenstore, &XENSTORE_QUOTA_DEFAULT, GUEST_DOMID, &conn);
	size_t len_bytes;

	g_assert_nonnull(store);
	(void)xenstore_write(store, "/local/domain/1/data/x", "1", 1);
	(void)xenstore_remove(store, "/local/domain/1");
	(void)xs_conn_pending(conn, &len_bytes);
	xs_conn_sent(conn, len_bytes);
	xs_conn_free(conn);
	xenstore_free(store);
	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++) {
		const struct evtchn_view view = evtchn_view(&image->hypervisor->events, port);

		g_assert_true(view.vcpu < image->domain.max_vcpus && view.port < EVTCHN_N_PORTS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct sample sample;
	struct saved_image image;
	uint64_t file_bytes;

	if (len_bytes == 0)
		return 0;
	sample_init(&sample);
	const enum saved_kind kind = bytes[0] % SAVED_N_KINDS;
	if (kind != 0) {
		g_byte_array_set_size(sample.sections[kind], 0);
		g_byte_array_append(sample.sections[kind], bytes + 1, (guint)len_bytes - 1);
	}
	g_autoptr(GByteArray) file = sample_file(&sample, &file_bytes);
	if (kind == 0)
		memcpy(file->data, bytes + 1, MIN(len_bytes - 1, file->len));
	if (saved_image_read(&image, file->data, file->len, file_bytes, NULL)) {
		check(&image);
		saved_image_close(&image);
	}
	sample_clear(&sample);
	return 0;
}
