// SPDX-License-Identifier: MIT
#include "backend/net_frame.h"

#include <string.h>

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_VLAN = 0x8100, ETHERTYPE_IPV6 = 0x86dd, ETHERTYPE_SERVICE_VLAN = 0x88a8 };
enum { PROTOCOL_HOP_BY_HOP = 0, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ROUTING = 43, PROTOCOL_OPTIONS = 60 };
#define VLAN_TAGS_MAX   2u
#define TCP_FLAG_CWR    0x80u
#define IPV4_FRAGMENT   0x3fffu /* more fragments, or not the first */

static uint16_t read16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* The bytes that are there, and where we are in them. */
struct cursor {
	const uint8_t *bytes;
	size_t have_bytes;
	size_t at;
};

/* NULL: not so many are left. */
static const uint8_t *look(const struct cursor *cursor, size_t len_bytes)
{
	return len_bytes <= cursor->have_bytes - cursor->at ? cursor->bytes + cursor->at : NULL;
}

static bool skip(struct cursor *cursor, size_t len_bytes)
{
	if (!look(cursor, len_bytes))
		return false;
	cursor->at += len_bytes;
	return true;
}

static bool parse_ethernet(struct cursor *cursor, uint16_t *type)
{
	if (!skip(cursor, NET_ETHERNET_BYTES))
		return false;
	*type = read16(cursor->bytes + NET_ETHERNET_BYTES - 2);
	for (unsigned int i = 0; *type == ETHERTYPE_VLAN || *type == ETHERTYPE_SERVICE_VLAN; i++) {
		const uint8_t *tag = look(cursor, 4);

		if (!tag || i == VLAN_TAGS_MAX)
			return false;
		*type = read16(tag + 2);
		cursor->at += 4;
	}
	return true;
}

static bool parse_ipv4(struct cursor *cursor, uint8_t *protocol, uint32_t *l4_bytes)
{
	const uint8_t *ip = look(cursor, 20);

	if (!ip || ip[0] >> 4 != 4)
		return false;
	uint32_t header_bytes = (ip[0] & 15u) * 4, total_bytes = read16(ip + 2);
	if (header_bytes < 20 || total_bytes < header_bytes || (read16(ip + 6) & IPV4_FRAGMENT))
		return false;
	*protocol = ip[9];
	*l4_bytes = total_bytes - header_bytes;
	return skip(cursor, header_bytes);
}

static bool parse_ipv6(struct cursor *cursor, uint8_t *protocol, uint32_t *l4_bytes)
{
	const uint8_t *ip = look(cursor, 40);

	if (!ip || ip[0] >> 4 != 6)
		return false;
	*protocol = ip[6];
	*l4_bytes = read16(ip + 4);
	cursor->at += 40;
	/* Each is 8 bytes at least: what is there ends it. */
	while (*protocol == PROTOCOL_HOP_BY_HOP || *protocol == PROTOCOL_ROUTING || *protocol == PROTOCOL_OPTIONS) {
		const uint8_t *extension = look(cursor, 8);
		uint32_t len_bytes = extension ? (extension[1] + 1u) * 8 : 0;

		if (!extension || *l4_bytes < len_bytes || !skip(cursor, len_bytes))
			return false;
		*protocol = extension[0];
		*l4_bytes -= len_bytes;
	}
	return true;
}

static bool parse_l4(const struct cursor *cursor, uint8_t protocol, struct net_headers *headers)
{
	const uint8_t *l4 = look(cursor, protocol == PROTOCOL_TCP ? 20 : 8);
	size_t len_bytes = 8;

	if (!l4)
		return false;
	headers->tcp = protocol == PROTOCOL_TCP;
	if (headers->tcp) {
		len_bytes = (l4[12] >> 4) * 4u;
		headers->cwr = l4[13] & TCP_FLAG_CWR;
	}
	if ((headers->tcp && len_bytes < 20) || len_bytes > headers->l4_bytes || !look(cursor, len_bytes))
		return false;
	headers->l4_at = (uint16_t)cursor->at;
	headers->csum_at = (uint16_t)(cursor->at + (headers->tcp ? 16 : 6));
	headers->end = (uint16_t)(cursor->at + len_bytes);
	return true;
}

bool net_headers_parse(const uint8_t *bytes, size_t have_bytes, size_t frame_bytes, struct net_headers *headers)
{
	struct cursor cursor = { bytes, have_bytes < NET_HEADERS_MAX ? have_bytes : NET_HEADERS_MAX, 0 };
	uint8_t protocol;
	uint16_t type;

	*headers = (struct net_headers){ 0 };
	if (!parse_ethernet(&cursor, &type))
		return false;
	headers->ip_at = (uint16_t)cursor.at;
	headers->ipv6 = type == ETHERTYPE_IPV6;
	if (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6)
		return false;
	if (!(headers->ipv6 ? parse_ipv6 : parse_ipv4)(&cursor, &protocol, &headers->l4_bytes))
		return false;
	/* Behind what IP counts there may be padding. */
	return (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) && headers->l4_bytes <= frame_bytes - cursor.at &&
	       parse_l4(&cursor, protocol, headers);
}

uint64_t net_sum(const uint8_t *bytes, size_t len_bytes)
{
	uint64_t sum = 0;

	/* Halves of 32 bits, so that a carry has where to go. */
	for (; len_bytes >= 8; bytes += 8, len_bytes -= 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		sum += (word & UINT32_MAX) + (word >> 32);
	}
	if (len_bytes > 0) {
		uint64_t word = 0;

		memcpy(&word, bytes, len_bytes);
		sum += (word & UINT32_MAX) + (word >> 32);
	}
	return sum;
}

uint16_t net_sum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

uint64_t net_sum_pieces(const struct iovec *pieces, unsigned int n_pieces, size_t from, size_t len_bytes)
{
	uint64_t sum = 0;
	bool odd = false;

	for (unsigned int i = 0; i < n_pieces && len_bytes > 0; i++) {
		if (from >= pieces[i].iov_len) {
			from -= pieces[i].iov_len;
			continue;
		}
		size_t part_bytes = pieces[i].iov_len - from < len_bytes ? pieces[i].iov_len - from : len_bytes;
		uint16_t part = net_sum_fold(net_sum((const uint8_t *)pieces[i].iov_base + from, part_bytes));

		/* Behind an odd number of bytes, high and low have changed places. */
		sum += odd ? (part & 0xffu) << 8 | part >> 8 : part;
		odd ^= part_bytes & 1;
		len_bytes -= part_bytes;
		from = 0;
	}
	return sum;
}

uint64_t net_sum_pseudo(const uint8_t *bytes, const struct net_headers *headers)
{
	const uint8_t *ip = bytes + headers->ip_at;
	const uint8_t tail[] = { 0, headers->tcp ? PROTOCOL_TCP : PROTOCOL_UDP, (uint8_t)(headers->l4_bytes >> 24),
				 (uint8_t)(headers->l4_bytes >> 16), (uint8_t)(headers->l4_bytes >> 8),
				 (uint8_t)headers->l4_bytes };

	return net_sum(tail, sizeof(tail)) + (headers->ipv6 ? net_sum(ip + 8, 32) : net_sum(ip + 12, 8));
}
