// SPDX-License-Identifier: MIT
#include "backend/net_link.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/net_stream.h"
#include "backend/net_tap.h"

void net_link_init_tap(struct net_link *link, const int *fds, unsigned int n_fds)
{
	*link = (struct net_link){ .fd = -1, .writing_fd = -1, .listen_fd = -1, .n_fds = n_fds,
				   .configure = net_tap_connect };
	memcpy(link->fds, fds, n_fds * sizeof(fds[0]));
	for (unsigned int i = 0; i < n_fds; i++)
		link->attached[i] = true;
}

bool net_link_init_stream(struct net_link *link, int fd, int listen_fd, bool trusted)
{
	*link = (struct net_link){ .stream = true, .fd = -1, .writing_fd = -1, .listen_fd = listen_fd, .trusted = trusted };
	link->kept = malloc(sizeof(link->header) + NET_FRAME_MAX);
	if (fd >= 0)
		net_stream_set_peer(link, fd);
	return link->kept != NULL;
}

void net_link_fini(struct net_link *link)
{
	for (unsigned int i = 0; i < link->n_fds; i++)
		close(link->fds[i]);
	if (link->stream) {
		net_stream_set_peer(link, -1);
		if (link->listen_fd >= 0)
			close(link->listen_fd);
		free(link->kept);
	}
	*link = (struct net_link){ .fd = -1, .writing_fd = -1, .listen_fd = -1 };
}

unsigned int net_link_fds(const struct net_link *link, int *fds)
{
	const int others[] = { link->fd, link->writing_fd, link->listen_fd };
	unsigned int n = link->n_fds;

	memcpy(fds, link->fds, n * sizeof(fds[0]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (others[i] >= 0)
			fds[n++] = others[i];
	return n;
}

unsigned int net_link_queues(const struct net_link *link)
{
	return link->stream ? 1 : link->n_fds;
}

bool net_link_connect(struct net_link *link, unsigned int n_queues, const struct net_features *features)
{
	return link->stream || link->configure(link, n_queues, features);
}

void net_link_forget(struct net_link *link)
{
	if (link->stream)
		net_stream_forget(link);
}

enum net_sent net_link_send(struct net_link *link, unsigned int queue, struct iovec *iov, unsigned int n_iov,
			    size_t frame_bytes, const struct net_offload *offload)
{
	return link->stream ? net_stream_send(link, iov, n_iov, frame_bytes) :
			      net_tap_send(link->fds[queue], iov, n_iov, offload);
}

bool net_link_flush(struct net_link *link)
{
	return !link->stream || net_stream_flush(link);
}

enum net_received net_link_receive(struct net_link *link, unsigned int queue, struct iovec *iov, unsigned int n_iov,
				   size_t room_bytes, struct net_offload *offload, size_t *bytes)
{
	*offload = (struct net_offload){ .csum_valid = link->trusted };
	return link->stream ? net_stream_receive(link, iov, n_iov, room_bytes, bytes) :
			      net_tap_receive(link->fds[queue], iov, n_iov, room_bytes, offload, bytes);
}

void net_link_skip(struct net_link *link)
{
	link->skipping = true;
}

bool net_link_accept(struct net_link *link)
{
	return link->listen_fd >= 0 && link->fd < 0 && net_stream_accept(link);
}

void net_link_hang_up(struct net_link *link)
{
	if (link->stream)
		net_stream_set_peer(link, -1);
}
