// SPDX-License-Identifier: MIT
#include "backend/nic_passt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/helper_program.h"
#include "config/guest_config.h"
#include "config/net_option.h"
#include "vmm/error.h"

#define MTU_BYTES 65520u

static int fail(GError **error, const char *why)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "user networking: %s", why);
	return -1;
}

/* "-t 127.0.0.1/2222:22" */
static void add_forward(GPtrArray *words, const char *text)
{
	struct net_forward forward;

	if (!net_forward_parse(text, &forward))
		return;
	g_ptr_array_add(words, g_strdup(forward.udp ? "-u" : "-t"));
	g_ptr_array_add(words, g_strdup_printf("%s%s%u:%u", forward.host_address ? forward.host_address : "",
					       forward.host_address ? "/" : "", forward.host_port, forward.guest_port));
	g_free(forward.host_address);
}

static GPtrArray *command(const char *passt, const struct vif_config *vif)
{
	GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

	g_ptr_array_add(words, g_strdup(passt));
	g_ptr_array_add(words, g_strdup("--quiet"));
	/* The guest learns it by DHCP: large frames are what makes it fast. */
	g_ptr_array_add(words, g_strdup("--mtu"));
	g_ptr_array_add(words, g_strdup_printf("%u", MTU_BYTES));
	g_ptr_array_add(words, g_strdup("--fd"));
	g_ptr_array_add(words, g_strdup_printf("%d", HELPER_PROGRAM_FD));
	for (guint i = 0; vif->hostfwd && i < vif->hostfwd->len; i++)
		add_forward(words, vif->hostfwd->pdata[i]);
	g_ptr_array_add(words, NULL);
	return words;
}

int nic_passt_start(const struct vif_config *vif, GError **error)
{
	g_autofree char *passt = g_find_program_in_path("passt");
	int sockets[2];

	if (!passt)
		return fail(error, "passt is not installed: apt install passt");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		return fail(error, g_strerror(errno));
	g_autoptr(GPtrArray) words = command(passt, vif);
	g_autofree char *reason = helper_program_start(words, sockets[1], NULL);
	close(sockets[1]);
	if (reason) {
		g_autofree char *why = g_strdup_printf("passt does not start: %s", reason);

		close(sockets[0]);
		return fail(error, why);
	}
	fcntl(sockets[0], F_SETFL, O_NONBLOCK);
	return sockets[0];
}
