// SPDX-License-Identifier: MIT
/*
 * Looks at every frame that an interface receives, as the kernel has got it from whoever drives the interface, until
 * standard input ends: of TCP and UDP the checksum is right, or it is left blank and the place, the sum of the pseudo
 * header and what is said of segments are. Or at every frame of a capture (pcap), where nothing may be left blank.
 *
 * usage: check-frames INTERFACE, or check-frames --pcap FILE; prints "frames N segments N blank N bad N", and for the
 * first bad ones why. --pcap counts as frames only those whose checksum was looked at.
 *
 * System calls: socket(AF_PACKET), setsockopt(PACKET_VNET_HDR).
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#define SHOWN_MAX       5u
#define RECEIVE_BYTES   (32 << 20)
#define FRAME_BYTES_MAX 70000u

/* Of a pcap file, in the byte order and the microseconds of who wrote it (draft-ietf-opsawg-pcap). */
#define PCAP_MAGIC    0xa1b2c3d4u
#define PCAP_ETHERNET 1u

struct counts {
	unsigned long frames, segments, blank, bad;
};

/* The layer that has the checksum. */
struct layer4 {
	size_t at, len_bytes, csum_at, header_bytes;
	uint32_t pseudo; /* its sum, not folded */
	bool tcp;
};

static uint32_t sum(const uint8_t *bytes, size_t len_bytes, uint32_t start)
{
	for (size_t i = 0; i < len_bytes; i++)
		start += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return start;
}

static uint16_t fold(uint32_t value)
{
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return (uint16_t)value;
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* FALSE: it is not TCP or UDP, or a fragment. */
static bool find_layer4(const uint8_t *frame, size_t len_bytes, struct layer4 *l4)
{
	const uint8_t *ip = frame + ETH_HLEN;
	uint8_t protocol;

	if (len_bytes < ETH_HLEN + 40u)
		return false;
	if (get16(frame + 12) == ETH_P_IP) {
		if (get16(ip + 6) & 0x3fff)
			return false;
		protocol = ip[9];
		l4->at = ETH_HLEN + (ip[0] & 15u) * 4u;
		l4->len_bytes = get16(ip + 2) - (ip[0] & 15u) * 4u;
		l4->pseudo = sum(ip + 12, 8, protocol + (uint32_t)l4->len_bytes);
	} else if (get16(frame + 12) == ETH_P_IPV6) {
		protocol = ip[6];
		l4->at = ETH_HLEN + 40u;
		l4->len_bytes = get16(ip + 4);
		l4->pseudo = sum(ip + 8, 32, protocol + (uint32_t)l4->len_bytes);
	} else {
		return false;
	}
	l4->tcp = protocol == IPPROTO_TCP;
	l4->csum_at = l4->at + (l4->tcp ? 16 : 6);
	l4->header_bytes = l4->tcp && l4->at + 12 < len_bytes ? (frame[l4->at + 12] >> 4) * 4u : 8;
	return (l4->tcp || protocol == IPPROTO_UDP) && l4->len_bytes >= 8;
}

/* NULL: it is as it should be. */
static const char *judge(const struct virtio_net_hdr *header, const uint8_t *frame, size_t len_bytes,
			 struct counts *counts)
{
	struct layer4 l4;

	if (!find_layer4(frame, len_bytes, &l4))
		return NULL;
	if (l4.at + l4.len_bytes > len_bytes || l4.csum_at + 2 > len_bytes)
		return "IP says more than there is";
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		counts->segments++;
		if (!l4.tcp || header->gso_size == 0)
			return "segments that are none";
		if (l4.len_bytes <= l4.header_bytes + header->gso_size)
			return "one segment is no segments";
	}
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		counts->blank++;
		if (header->csum_start != l4.at || header->csum_start + header->csum_offset != l4.csum_at)
			return "the checksum's place is wrong";
		return get16(frame + l4.csum_at) == fold(l4.pseudo) ? NULL : "the pseudo header's sum is wrong";
	}
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return "segments, and a checksum that is not blank";
	if (!l4.tcp && get16(frame + l4.csum_at) == 0)
		return NULL;
	return fold(sum(frame + l4.at, l4.len_bytes, l4.pseudo)) == 0xffff ? NULL : "the checksum is wrong";
}

/* why: NULL if nothing is wrong with it. */
static void note(const char *why, const struct virtio_net_hdr *header, size_t len_bytes, struct counts *counts)
{
	if (why && counts->bad++ < SHOWN_MAX)
		printf("bad frame of %zu bytes: %s (flags %u, segments %u of %u bytes)\n", len_bytes, why,
		       header->flags, header->gso_type, header->gso_size);
}

static int open_socket(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	const int on = 1, room_bytes = RECEIVE_BYTES;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	address.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room_bytes, sizeof(room_bytes)) != 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -1;
	return fd;
}

/* FALSE: it is no capture of Ethernet frames by a machine like this one, or one that was cut off. */
static bool look_at_capture(const char *name, struct counts *counts)
{
	static const struct virtio_net_hdr nothing_left_blank;
	static uint8_t bytes[FRAME_BYTES_MAX];
	struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, len_max_bytes, kind;
	} file_header;
	struct {
		uint32_t seconds, microseconds, len_bytes, original_len_bytes;
	} header;
	FILE *file = fopen(name, "re");
	bool good = file && fread(&file_header, sizeof(file_header), 1, file) == 1 && file_header.magic == PCAP_MAGIC &&
		    file_header.kind == PCAP_ETHERNET;

	while (good && fread(&header, sizeof(header), 1, file) == 1) {
		struct layer4 l4;

		good = header.len_bytes <= sizeof(bytes) && header.len_bytes == header.original_len_bytes &&
		       fread(bytes, 1, header.len_bytes, file) == header.len_bytes;
		if (!good || !find_layer4(bytes, header.len_bytes, &l4))
			continue;
		counts->frames++;
		note(judge(&nothing_left_blank, bytes, header.len_bytes, counts), &nothing_left_blank, header.len_bytes,
		     counts);
	}
	good = good && feof(file);
	if (file)
		fclose(file);
	return good;
}

static void look_at_one(int fd, struct counts *counts)
{
	static uint8_t bytes[sizeof(struct virtio_net_hdr) + FRAME_BYTES_MAX];
	struct sockaddr_ll from = {0};
	socklen_t from_bytes = sizeof(from);
	struct virtio_net_hdr header;
	ssize_t got = recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_bytes);

	/* What the host itself sends is nobody's work. */
	if (got < (ssize_t)sizeof(header) || from.sll_pkttype == PACKET_OUTGOING)
		return;
	memcpy(&header, bytes, sizeof(header));
	counts->frames++;
	note(judge(&header, bytes + sizeof(header), (size_t)got - sizeof(header), counts), &header,
	     (size_t)got - sizeof(header), counts);
}

/* FALSE: standard input cannot be waited for. */
static bool watch(int fd, struct counts *counts)
{
	struct pollfd polls[] = {{.fd = fd, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};

	for (;;) {
		if (poll(polls, 2, -1) < 0)
			return false;
		if (polls[0].revents)
			look_at_one(fd, counts);
		else if (polls[1].revents)
			return true;
	}
}

int main(int argc, char **argv)
{
	struct counts counts = {0};

	if (argc == 3 && strcmp(argv[1], "--pcap") == 0) {
		if (!look_at_capture(argv[2], &counts)) {
			fprintf(stderr, "check-frames: %s: not a whole capture of Ethernet frames\n", argv[2]);
			return 1;
		}
	} else {
		int fd = argc == 2 ? open_socket(argv[1]) : -1;

		if (fd < 0 || !watch(fd, &counts)) {
			perror("check-frames");
			return 1;
		}
	}
	printf("frames %lu segments %lu blank %lu bad %lu\n", counts.frames, counts.segments, counts.blank, counts.bad);
	return counts.bad > 0;
}
