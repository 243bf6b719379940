// SPDX-License-Identifier: MIT
#include "backend/net_tap.h"

#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "xen/abi.h"
#include <xen/io/netif.h>

/* syscalls(main): ioctl(TUNSETQUEUE) ioctl(TUNSETOFFLOAD) */
bool net_tap_connect(struct net_link *link, unsigned int n_queues, const struct net_features *features)
{
	/* Segments with ECN's CWR stay the kernel's: the protocol cannot say that only the first may carry it. */
	const unsigned int offloads = features->csum ? TUN_F_CSUM | (features->gso_ipv4 ? TUN_F_TSO4 : 0u) |
							       (features->gso_ipv6 ? TUN_F_TSO6 : 0u) :
						       0u;

	/* Queues first: of one that is detached the kernel does not know whose it is. */
	for (unsigned int i = 0; i < link->n_fds; i++) {
		struct ifreq request = { .ifr_flags = i < n_queues ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		if (link->attached[i] == (i < n_queues))
			continue;
		if (ioctl(link->fds[i], TUNSETQUEUE, &request) != 0)
			return false;
		link->attached[i] = i < n_queues;
	}
	return ioctl(link->fds[0], TUNSETOFFLOAD, (unsigned long)offloads) == 0;
}

void net_tap_encode(const struct net_offload *offload, struct virtio_net_hdr *header)
{
	*header = (struct virtio_net_hdr){ 0 };
	if (offload->csum_blank) {
		header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header->csum_start = offload->csum_from;
		header->csum_offset = (uint16_t)(offload->csum_at - offload->csum_from);
	}
	if (offload->gso_type != XEN_NETIF_GSO_TYPE_NONE) {
		header->gso_type = offload->gso_type == XEN_NETIF_GSO_TYPE_TCPV4 ? VIRTIO_NET_HDR_GSO_TCPV4 :
										    VIRTIO_NET_HDR_GSO_TCPV6;
		header->gso_type |= offload->cwr ? VIRTIO_NET_HDR_GSO_ECN : 0;
		header->gso_size = offload->gso_bytes;
		header->hdr_len = offload->headers_bytes;
	}
}

bool net_tap_decode(const struct virtio_net_hdr *header, struct net_offload *offload)
{
	*offload = (struct net_offload){ .csum_valid = header->flags & VIRTIO_NET_HDR_F_DATA_VALID };
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		offload->csum_blank = true;
		offload->csum_from = header->csum_start;
		offload->csum_at = (uint16_t)(header->csum_start + header->csum_offset);
	}
	switch (header->gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		offload->gso_type = XEN_NETIF_GSO_TYPE_TCPV4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		offload->gso_type = XEN_NETIF_GSO_TYPE_TCPV6;
		break;
	default:
		return false;
	}
	offload->gso_bytes = header->gso_size;
	return header->gso_size > 0;
}

enum net_sent net_tap_send(int fd, struct iovec *iov, unsigned int n_iov, const struct net_offload *offload)
{
	struct virtio_net_hdr header;
	ssize_t sent;

	net_tap_encode(offload, &header);
	iov[0] = (struct iovec){ &header, sizeof(header) };
	do
		sent = pwritev2(fd, iov, (int)n_iov, -1, 0); /* as writev() */
	while (sent < 0 && errno == EINTR);
	/* EIO: the interface is down. EAGAIN, ENOMEM: the kernel has enough. As on any wire. */
	return sent >= 0 ? NET_SENT : errno == EINVAL || errno == EFAULT ? NET_REFUSED : NET_DROPPED;
}

enum net_received net_tap_receive(int fd, struct iovec *iov, unsigned int n_iov, size_t room_bytes,
				  struct net_offload *offload, size_t *bytes)
{
	struct virtio_net_hdr header;
	ssize_t got;

	iov[0] = (struct iovec){ &header, sizeof(header) };
	do
		got = preadv2(fd, iov, (int)n_iov, -1, 0); /* as readv() */
	while (got < 0 && errno == EINTR);
	if (got < 0)
		/* EFAULT: the frame was larger than all there is room for, and is gone. EBADFD: the interface is. */
		return errno == EFAULT || errno == EINVAL ? NET_LOST : errno == EAGAIN ? NET_NOTHING : NET_ENDED;
	*bytes = (size_t)got - sizeof(header);
	return (size_t)got > sizeof(header) && *bytes <= room_bytes && net_tap_decode(&header, offload) ? NET_FRAME : NET_LOST;
}
