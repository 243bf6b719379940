// SPDX-License-Identifier: MIT
/* The tap half of net_link.h: what struct virtio_net_hdr says in the protocol's words, and back. */
#pragma once

#include "backend/net_link.h"

bool net_tap_connect(struct net_link *link, unsigned int n_queues, const struct net_features *features);
enum net_sent net_tap_send(int fd, struct iovec *iov, unsigned int n_iov, const struct net_offload *offload);
enum net_received net_tap_receive(int fd, struct iovec *iov, unsigned int n_iov, size_t room_bytes,
				  struct net_offload *offload, size_t *bytes);

/* Pure. FALSE: a kind of segments that nobody asked for. */
void net_tap_encode(const struct net_offload *offload, struct virtio_net_hdr *header);
bool net_tap_decode(const struct virtio_net_hdr *header, struct net_offload *offload);
