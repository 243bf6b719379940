// SPDX-License-Identifier: MIT
#include "vhost/backend.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "vhost/wire.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define MIN_SHMEM_BYTES (UINT64_C(2) << 20)

/* Bits that mean the device itself, and of the rest those which change nothing but the rings: those are the back end's. */
#define DEVICE_FEATURES UINT64_C(0xffffff)
#define RING_FEATURES   (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX | \
			 UINT64_C(1) << VIRTIO_F_VERSION_1)
#define PROTOCOL(name)  (UINT64_C(1) << VHOST_PROTOCOL_##name)

static bool fail(const struct vhost_backend *backend, GError **error, const char *why)
{
	g_autofree char *line = one_line(backend->option->path);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--vhost-user=%s: %s", line, why);
	return false;
}

/* The connection has ended for the reason in errno. */
static bool broke_off(const struct vhost_backend *backend, GError **error)
{
	const char *why = errno == ENODATA   ? "the back end has ended the connection" :
			  errno == ETIMEDOUT ? "the back end does not answer: is it one of vhost-user?" :
			  errno == EPROTO    ? "what the back end answers is not vhost-user" :
					       g_strerror(errno);

	return fail(backend, error, why);
}

static bool connect_to(struct vhost_backend *backend, GError **error)
{
	const char *path = backend->option->path;
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(address.sun_path))
		return fail(backend, error, "the path is too long for a socket");
	strcpy(address.sun_path, path);
	backend->link.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (backend->link.fd < 0 || connect(backend->link.fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
		g_autofree char *why = g_strdup_printf("cannot connect: %s: does the back end run?", g_strerror(errno));

		return fail(backend, error, why);
	}
	return true;
}

static bool agree(struct vhost_backend *backend, GError **error)
{
	const uint64_t wanted = PROTOCOL(MQ) | PROTOCOL(REPLY_ACK) | PROTOCOL(BACKEND_REQ) | PROTOCOL(CONFIG) |
				PROTOCOL(BACKEND_SEND_FD) | PROTOCOL(SHMEM_MAP);
	const uint64_t channel = PROTOCOL(BACKEND_REQ) | PROTOCOL(BACKEND_SEND_FD) | PROTOCOL(REPLY_ACK);
	struct vhost_link *link = &backend->link;
	uint64_t features, protocol;

	if (!vhost_ask(link, VHOST_USER_GET_FEATURES, NULL, 0, &features, sizeof(features), sizeof(features), NULL))
		return broke_off(backend, error);
	if (!(features >> VIRTIO_F_VERSION_1 & 1))
		return fail(backend, error, "the back end knows only virtio before 1.0");
	if (!(features >> VHOST_USER_F_PROTOCOL_FEATURES & 1))
		return fail(backend, error, "the back end has no protocol features: it cannot be stopped in good order");
	backend->features = features & (DEVICE_FEATURES | RING_FEATURES);
	backend->reserved_features = UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES;
	if (!vhost_ask(link, VHOST_USER_GET_PROTOCOL_FEATURES, NULL, 0, &protocol, sizeof(protocol), sizeof(protocol), NULL))
		return broke_off(backend, error);
	protocol &= wanted;
	/* A channel without answers, or without descriptors, would be of no use. */
	if ((protocol & channel) != channel)
		protocol &= ~(PROTOCOL(BACKEND_REQ) | PROTOCOL(BACKEND_SEND_FD) | PROTOCOL(SHMEM_MAP));
	if (!vhost_send(link, VHOST_USER_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol), NULL, 0))
		return broke_off(backend, error);
	link->protocol = protocol;
	return vhost_send(link, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0) || broke_off(backend, error);
}

static bool check_queues(struct vhost_backend *backend, GError **error)
{
	uint64_t most = backend->option->n_queues;

	if ((backend->link.protocol & PROTOCOL(MQ)) &&
	    !vhost_ask(&backend->link, VHOST_USER_GET_QUEUE_NUM, NULL, 0, &most, sizeof(most), sizeof(most), NULL))
		return broke_off(backend, error);
	return most >= backend->option->n_queues || fail(backend, error, "the back end has fewer queues: say queues=");
}

/* One region at most: a function has one BAR for it. */
static bool ask_shmem(struct vhost_backend *backend, GError **error)
{
	g_autofree struct vhost_user_shmem_config *shmem = g_new0(struct vhost_user_shmem_config, 1);
	unsigned int n = 0;

	if (!(backend->link.protocol & PROTOCOL(SHMEM_MAP)))
		return true;
	if (!vhost_ask(&backend->link, VHOST_USER_GET_SHMEM_CONFIG, NULL, 0, shmem, sizeof(*shmem), sizeof(*shmem), NULL))
		return broke_off(backend, error);
	for (unsigned int i = 0; i < VHOST_MAX_SHMEMS; i++) {
		if (shmem->len_bytes[i] == 0)
			continue;
		n++;
		backend->has_shmem = true;
		backend->shmid = (uint8_t)i;
		backend->shmem_bytes = shmem->len_bytes[i];
	}
	if (n != shmem->n_regions)
		return fail(backend, error, "what the back end says of its shared memory contradicts itself");
	if (n > 1)
		return fail(backend, error, "the device has more than one region of shared memory, and dom1 devices have one");
	if (n > 0 && (backend->shmem_bytes < MIN_SHMEM_BYTES || (backend->shmem_bytes & (backend->shmem_bytes - 1)) != 0))
		return fail(backend, error, "the device's shared memory is no power of two from 2 MiB on");
	return true;
}

static bool open_channel(struct vhost_backend *backend, GError **error)
{
	int ends[2];

	if (!(backend->link.protocol & PROTOCOL(BACKEND_REQ)))
		return true;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
		return broke_off(backend, error);
	backend->link.channel_fd = ends[0];
	bool sent = vhost_send(&backend->link, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &ends[1], 1);
	close(ends[1]);
	return sent || broke_off(backend, error);
}

static bool read_config(struct vhost_backend *backend, GError **error)
{
	return !(backend->link.protocol & PROTOCOL(CONFIG)) ||
	       vhost_find_config(&backend->link, backend->config, &backend->config_bytes) || broke_off(backend, error);
}

bool vhost_backend_open(struct vhost_backend *backend, const struct vhost_option *option, GError **error)
{
	*backend = (struct vhost_backend){ .option = option, .link = { .fd = -1, .channel_fd = -1 } };
	if (connect_to(backend, error) && agree(backend, error) && check_queues(backend, error) && ask_shmem(backend, error) &&
	    read_config(backend, error) && open_channel(backend, error))
		return true;
	vhost_backend_close(backend);
	return false;
}

void vhost_backend_close(struct vhost_backend *backend)
{
	vhost_close(&backend->link);
}
