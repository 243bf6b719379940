// SPDX-License-Identifier: MIT
/* System calls: ioctl (TUNSETIFF, TUNSETVNETHDRSZ, SIOC*). */
#include "backend/nic_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/sockios.h>

#include "vmm/error.h"

#define TUN_DEVICE "/dev/net/tun"

static gboolean fail(GError **error, const char *name, const char *what, const char *remedy)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "tap %s: %s%s%s: %s", name, what, errno ? ": " : "",
		    errno ? g_strerror(errno) : "", remedy);
	return FALSE;
}

/* The descriptor, or -1 and errno; request's name becomes the one it has. */
static int open_queue(struct ifreq *request, int flags)
{
	const int header_bytes = sizeof(struct virtio_net_hdr);
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	request->ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags);
	if (fd < 0 || (ioctl(fd, TUNSETIFF, request) == 0 && ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) == 0))
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* A tap has many queues or one from when it was made. */
static unsigned int open_queues(struct ifreq *request, unsigned int n_queues, int *fds)
{
	const int first = n_queues > 1 ? IFF_MULTI_QUEUE : 0;
	int flags = first;
	unsigned int n = 0;

	fds[0] = open_queue(request, flags);
	if (fds[0] < 0 && errno == EINVAL) {
		flags = first ^ IFF_MULTI_QUEUE;
		fds[0] = open_queue(request, flags);
	}
	if (fds[0] < 0)
		return 0;
	/* Somebody else may have some of them. */
	for (n = 1; flags && n < n_queues; n++) {
		fds[n] = open_queue(request, flags);
		if (fds[n] < 0)
			break;
	}
	return n;
}

static gboolean set_up(int control_fd, struct ifreq *request, GError **error)
{
	errno = 0;
	if (ioctl(control_fd, SIOCGIFFLAGS, request) == 0 && request->ifr_flags & IFF_UP)
		return TRUE;
	request->ifr_flags |= IFF_UP;
	if (ioctl(control_fd, SIOCSIFFLAGS, request) == 0)
		return TRUE;
	g_autofree char *remedy = g_strdup_printf("ip link set %s up", request->ifr_name);
	return fail(error, request->ifr_name, "it is down", remedy);
}

static gboolean put_into_bridge(int control_fd, struct ifreq *request, const char *bridge, GError **error)
{
	struct ifreq mtu = { 0 }, port = { .ifr_ifindex = (int)if_nametoindex(request->ifr_name) };

	strcpy(mtu.ifr_name, bridge);
	strcpy(port.ifr_name, bridge);
	if (ioctl(control_fd, SIOCBRADDIF, &port) != 0) {
		g_autofree char *remedy = g_strdup_printf("is %s a bridge, and may you change it?", bridge);
		return fail(error, request->ifr_name, "it cannot be put into the bridge", remedy);
	}
	if (ioctl(control_fd, SIOCGIFMTU, &mtu) == 0) {
		struct ifreq own = *request;

		own.ifr_mtu = mtu.ifr_mtu;
		(void)ioctl(control_fd, SIOCSIFMTU, &own);
	}
	return TRUE;
}

static gboolean configure(struct ifreq *request, const char *bridge, GError **error)
{
	int control_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	gboolean ok;

	if (control_fd < 0)
		return fail(error, request->ifr_name, "no socket to ask for it", "give another kind of network");
	ok = (!bridge || put_into_bridge(control_fd, request, bridge, error)) && set_up(control_fd, request, error);
	close(control_fd);
	return ok;
}

static gboolean explain(const struct ifreq *request, GError **error)
{
	const char *name = request->ifr_name[0] ? request->ifr_name : "(new)";
	g_autofree char *make = g_strdup_printf("make one for you as root: ip tuntap add dev %s mode tap user $USER multi_queue",
						request->ifr_name[0] && !strchr(request->ifr_name, '%') ? request->ifr_name : "tap0");

	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: cannot open: %s: load its driver: modprobe tun", TUN_DEVICE,
			    g_strerror(errno));
		return FALSE;
	case EPERM:
	case EACCES:
		return fail(error, name, "cannot use it", make);
	case EBUSY:
		return fail(error, name, "it is in use", "give another, or end who has it");
	case EINVAL:
		return fail(error, name, "it is no tap, or has another use", make);
	default:
		return fail(error, name, "cannot use it", make);
	}
}

gboolean nic_tap_open(struct net_link *link, const char *ifname, const char *bridge, unsigned int n_queues, GError **error)
{
	struct ifreq request = { 0 };
	int fds[NET_LINK_QUEUES_MAX];

	if (bridge && if_nametoindex(bridge) == 0) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "bridge %s: there is none of this name: make it, or give user or tap",
			    bridge);
		return FALSE;
	}
	g_strlcpy(request.ifr_name, ifname ? ifname : bridge ? "dom1-%d" : "", sizeof(request.ifr_name));
	unsigned int n = open_queues(&request, MIN(n_queues, NET_LINK_QUEUES_MAX), fds);
	if (n == 0)
		return explain(&request, error);
	net_link_init_tap(link, fds, n);
	if (configure(&request, bridge, error))
		return TRUE;
	net_link_fini(link);
	return FALSE;
}
