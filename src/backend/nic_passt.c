// SPDX-License-Identifier: MIT
#include "backend/nic_passt.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/guest_config.h"
#include "config/net_option.h"
#include "vmm/error.h"

#define CHILD_FD  3
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
	g_ptr_array_add(words, g_strdup_printf("%d", CHILD_FD));
	for (guint i = 0; vif->hostfwd && i < vif->hostfwd->len; i++)
		add_forward(words, vif->hostfwd->pdata[i]);
	g_ptr_array_add(words, NULL);
	return words;
}

/* The last line of what it said in fd: that is why it ended. */
static char *last_line(int fd)
{
	char text[2048];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	text[MAX(got, 0)] = '\0';
	g_strchomp(text);
	const char *line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	char *copy = g_strdup(*line ? line : "it did not say why");
	for (char *c = copy; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	return copy;
}

/* Until it is in the background. */
static gboolean run(GPtrArray *words, int socket_fd, int words_fd, GError **error)
{
	const int target_fd = CHILD_FD;
	g_autoptr(GError) spawn_error = NULL;
	int status = 0;
	GPid pid;

	if (!g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)words->pdata, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
					      -1, -1, words_fd, &socket_fd, &target_fd, 1, &pid, NULL, NULL, NULL,
					      &spawn_error)) {
		fail(error, spawn_error->message);
		return FALSE;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TRUE;
	g_autofree char *line = last_line(words_fd);
	g_autofree char *why = g_strdup_printf("passt does not start: %s", line);
	fail(error, why);
	return FALSE;
}

int nic_passt_start(const struct vif_config *vif, GError **error)
{
	g_autofree char *passt = g_find_program_in_path("passt");
	int sockets[2], words_fd;

	if (!passt)
		return fail(error, "passt is not installed: apt install passt");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		return fail(error, g_strerror(errno));
	words_fd = memfd_create("passt", MFD_CLOEXEC);
	g_autoptr(GPtrArray) words = command(passt, vif);
	gboolean ok = run(words, sockets[1], words_fd, error);
	close(sockets[1]);
	if (words_fd >= 0)
		close(words_fd);
	if (!ok) {
		close(sockets[0]);
		return -1;
	}
	fcntl(sockets[0], F_SETFL, O_NONBLOCK);
	return sockets[0];
}
