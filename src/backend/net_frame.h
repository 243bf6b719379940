// SPDX-License-Identifier: MIT
/*
 * Ethernet frames, as a pure core: where their headers lie, and the Internet checksum.
 *
 * Only what TCP and UDP over IPv4 and IPv6 need, with VLAN tags and extension headers before them. Whatever does not fit
 * into the bytes at hand or contradicts itself is no such frame. Source: RFC 791, 793, 768, 1071, 8200, IEEE 802.1Q.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define NET_ETHERNET_BYTES 14u
/* Headers are looked for in so many bytes. */
#define NET_HEADERS_MAX    256u

struct net_headers {
	bool ipv6, tcp;
	bool cwr;           /* of TCP: the first segment only may carry it */
	uint16_t ip_at;     /* offsets in the frame */
	uint16_t l4_at;
	uint16_t csum_at;   /* the checksum of TCP or UDP */
	uint16_t end;       /* behind the header of TCP or UDP */
	uint32_t l4_bytes;  /* header and payload, as IP says */
};

/* bytes: the first have_bytes of a frame of frame_bytes. FALSE: not TCP or UDP, a fragment, or not all there. */
bool net_headers_parse(const uint8_t *bytes, size_t have_bytes, size_t frame_bytes, struct net_headers *headers);

/*
 * Sums of 16-bit words as they lie in memory; fold() makes 16 bits of them, which are stored the same way. The checksum is
 * the complement.
 */
uint64_t net_sum(const uint8_t *bytes, size_t len_bytes);
/* Of [from, from + len_bytes) of what the pieces hold one behind the other; from is the sum's first byte. */
uint64_t net_sum_pieces(const struct iovec *pieces, unsigned int n_pieces, size_t from, size_t len_bytes);
uint16_t net_sum_fold(uint64_t sum);
/* Of the pseudo header. */
uint64_t net_sum_pseudo(const uint8_t *bytes, const struct net_headers *headers);
