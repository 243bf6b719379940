// SPDX-License-Identifier: MIT
#include "backend/nic.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/nic_passt.h"
#include "backend/nic_tap.h"
#include "config/guest_config.h"
#include "config/net_option.h"
#include "vmm/error.h"

static gboolean socket_error(const char *path, const char *what, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot %s as network socket: %s", path, what, g_strerror(errno));
	return FALSE;
}

static gboolean init_stream(struct nic *nic, int fd, int listen_fd, gboolean trusted)
{
	/* As g_malloc() does. */
	if (!net_link_init_stream(&nic->link, fd, listen_fd, trusted))
		g_error("out of memory");
	return TRUE;
}

/* A socket left by somebody who is gone is removed; whatever else has this path stays. */
static bool make_room(const char *path)
{
	struct stat status;

	if (lstat(path, &status) != 0)
		return errno == ENOENT;
	if (S_ISSOCK(status.st_mode))
		return unlink(path) == 0;
	errno = ENOTSOCK;
	return false;
}

/* Connects; where nobody listens, listens: the second of two joins the first. */
static gboolean open_socket(struct nic *nic, const char *path, GError **error)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	errno = ENAMETOOLONG;
	if (strlen(path) >= sizeof(address.sun_path))
		return socket_error(path, "connect", error);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return socket_error(path, "connect", error);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return init_stream(nic, fd, -1, FALSE);
	/* Refused: also by files that are no sockets. */
	if ((errno != ENOENT && errno != ECONNREFUSED) || !make_room(path)) {
		socket_error(path, "connect", error);
		close(fd);
		return FALSE;
	}
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 1) != 0) {
		socket_error(path, "listen", error);
		close(fd);
		return FALSE;
	}
	nic->socket_path = g_strdup(path);
	return init_stream(nic, -1, fd, FALSE);
}

static gboolean open_user(struct nic *nic, const struct vif_config *vif, GError **error)
{
	int fd = nic_passt_start(vif, error);

	return fd >= 0 && init_stream(nic, fd, -1, TRUE);
}

static gboolean nic_open(struct nic *nic, guint number, const struct vif_config *vif, unsigned int n_queues, GError **error)
{
	gboolean ok;

	*nic = (struct nic){ .number = number, .where = net_where(vif) };
	memcpy(nic->mac, vif->mac, sizeof(nic->mac));
	switch (vif->kind) {
	case VIF_TAP:
		ok = nic_tap_open(&nic->link, vif->ifname, NULL, n_queues, error);
		break;
	case VIF_BRIDGE:
		ok = nic_tap_open(&nic->link, vif->ifname, vif->bridge, n_queues, error);
		break;
	case VIF_SOCKET:
		ok = open_socket(nic, vif->socket_path, error);
		break;
	default:
		ok = open_user(nic, vif, error);
		break;
	}
	if (!ok)
		g_free(nic->where);
	return ok;
}

gboolean nics_open(struct nic **nics, size_t *n_nics, const GPtrArray *configs, unsigned int n_queues, GError **error)
{
	*nics = g_new0(struct nic, configs->len);
	for (*n_nics = 0; *n_nics < configs->len; ++*n_nics) {
		if (nic_open(&(*nics)[*n_nics], (guint)*n_nics, configs->pdata[*n_nics], n_queues, error))
			continue;
		nics_close(*nics, *n_nics);
		*nics = NULL;
		*n_nics = 0;
		return FALSE;
	}
	return TRUE;
}

void nics_close(struct nic *nics, size_t n_nics)
{
	for (size_t i = 0; i < n_nics; i++) {
		net_link_fini(&nics[i].link);
		if (nics[i].socket_path)
			(void)unlink(nics[i].socket_path);
		g_free(nics[i].socket_path);
		g_free(nics[i].where);
	}
	g_free(nics);
}
