// SPDX-License-Identifier: MIT
/* The stream half of net_link.h. */
#pragma once

#include "backend/net_link.h"

/* fd becomes the link's; -1: there is none any more. What was half sent or half received is gone with the old one. */
void net_stream_set_peer(struct net_link *link, int fd);
void net_stream_forget(struct net_link *link);
bool net_stream_accept(struct net_link *link);
bool net_stream_flush(struct net_link *link);
enum net_sent net_stream_send(struct net_link *link, struct iovec *iov, unsigned int n_iov, size_t frame_bytes);
enum net_received net_stream_receive(struct net_link *link, struct iovec *iov, unsigned int n_iov, size_t room_bytes,
				     size_t *bytes);
