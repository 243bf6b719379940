// SPDX-License-Identifier: MIT
/*
 * What it takes at least to get bytes into a program of a guest, and nothing else: no guest, no ring, no events, no
 * VMM, of TCP only a socket. The passes over each byte that nobody can spare:
 *
 *   tap     the host's kernel copies frames of the largest size out of a tap: readv() into pages that are there
 *
 * or, where a process without rights does the networking and has a socket to the VMM, as passt:
 *
 *   in      recv() out of the socket of a connection
 *   sum     the checksum of TCP, since the frames have no word to leave it out
 *   out     send() into the VMM's socket
 *   vmm     readv() out of that, into the guest's pages
 *
 * and with both
 *
 *   copy    the guest's kernel copies what came to the program, by the instruction that Linux 6.1 has for that on a CPU
 * with ERMS: "rep movsb"
 *
 * usage: net-floor tap NAME MEBIBYTES, or net-floor relay MEBIBYTES
 *
 * NAME is a tap that is made for it. What goes through it comes from a packet socket, and what goes through the
 * connection from its other end; that is not counted. Prints "bytes N", and for each pass "NAME_ns N" of CPU time.
 */
#include <arpa/inet.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/virtio_net.h>

#define PAGE_BYTES     4096u
#define FRAME_PAGES    17u
#define SEGMENT_BYTES  1448u
#define SEGMENTS       40u /* as large as frames get */
#define HEADER_BYTES   (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))
#define LEAF7_EBX_ERMS (1u << 9)
#define DATA_BYTES     (SEGMENTS * SEGMENT_BYTES)
#define FRAME_BYTES    (HEADER_BYTES + DATA_BYTES)

/* Sent before each frame to the packet socket, and read before each from the tap. */
struct frame {
	struct virtio_net_hdr header;
	uint8_t bytes[FRAME_BYTES];
};

static void check(int is_good, const char *what)
{
	if (is_good)
		return;
	fprintf(stderr, "net-floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int make_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), any = socket(AF_INET, SOCK_DGRAM, 0);

	check(fd >= 0 && any >= 0, "/dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	check(ioctl(fd, TUNSETIFF, &request) == 0, name);
	check(ioctl(fd, TUNSETOFFLOAD, (unsigned long)(TUN_F_CSUM | TUN_F_TSO4)) == 0, "offloads");
	request.ifr_flags = IFF_UP;
	check(ioctl(any, SIOCSIFFLAGS, &request) == 0, "bringing it up");
	close(any);
	return fd;
}

static int open_sender(const char *name)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), on = 1, room = 4 << 20;

	check(fd >= 0, "a packet socket");
	check(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) == 0, "PACKET_VNET_HDR");
	check(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0, "SO_SNDBUFFORCE");
	check(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "bind");
	return fd;
}

/* TCP that the receiver is to cut into segments, as it comes from a host that leaves that to others. */
static void make_frame(struct frame *frame)
{
	const struct iphdr ip = {.version = 4,
				 .ihl = 5,
				 .ttl = 64,
				 .protocol = IPPROTO_TCP,
				 .tot_len = htons(FRAME_BYTES - sizeof(struct ethhdr)),
				 .saddr = htonl(0x0a630101),
				 .daddr = htonl(0x0a630102)};
	const struct tcphdr tcp = {.source = htons(5201), .dest = htons(5201), .doff = 5, .ack = 1};
	struct ethhdr *ethernet = (struct ethhdr *)(void *)frame->bytes;

	memset(frame, 0x5a, sizeof(*frame));
	frame->header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
						.hdr_len = HEADER_BYTES,
						.gso_size = SEGMENT_BYTES,
						.csum_start = sizeof(struct ethhdr) + sizeof(ip),
						.csum_offset = offsetof(struct tcphdr, check)};
	ethernet->h_proto = htons(ETH_P_IP);
	memcpy(frame->bytes + sizeof(*ethernet), &ip, sizeof(ip));
	memcpy(frame->bytes + sizeof(*ethernet) + sizeof(ip), &tcp, sizeof(tcp));
}

/* Linux 6.1 copies to programs by "rep movsb" if the CPU says that this is fast: copy_user_generic(). */
static int has_fast_rep_movsb(void)
{
	unsigned int eax, ebx, ecx, edx;

	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ebx & LEAF7_EBX_ERMS);
}

static void copy(uint8_t *to, const uint8_t *from, size_t len_bytes, int by_bytes)
{
	size_t n_words = by_bytes ? 0 : len_bytes / sizeof(uint64_t), n_bytes = len_bytes - n_words * sizeof(uint64_t);

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n_words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n_bytes) : : "memory");
}

/* The kernel's own frames on a new interface are others. TRUE: it was one of ours. */
static int read_frame(int tap, struct iovec *iov, int n_iov)
{
	ssize_t got = readv(tap, iov, n_iov);

	check(got > 0 || errno == EAGAIN, "reading from the tap");
	return got == (ssize_t)sizeof(struct frame);
}

static uint8_t *make_memory(size_t len_bytes)
{
	uint8_t *memory =
		mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	check(memory != MAP_FAILED, "memory");
	return memory;
}

/* A guest's pages, which are seldom side by side. */
static void make_pages(struct iovec *iov)
{
	uint8_t *pages = make_memory(2 * FRAME_PAGES * PAGE_BYTES);

	for (unsigned int i = 0; i < FRAME_PAGES; i++)
		iov[i] = (struct iovec){pages + 2 * i * PAGE_BYTES, PAGE_BYTES};
}

static uint64_t copy_to_program(uint8_t *program, const struct iovec *pages)
{
	const int by_bytes = has_fast_rep_movsb();
	const uint64_t began_ns = cpu_ns();

	for (size_t at = 0; at < DATA_BYTES; at += PAGE_BYTES)
		copy(program + at, pages[at / PAGE_BYTES].iov_base,
		     DATA_BYTES - at < PAGE_BYTES ? DATA_BYTES - at : PAGE_BYTES, by_bytes);
	return cpu_ns() - began_ns;
}

static void measure_tap(const char *name, uint64_t wanted_bytes)
{
	static struct frame frame;
	struct virtio_net_hdr header;
	struct iovec iov[FRAME_PAGES + 1] = {{&header, sizeof(header)}};
	uint64_t bytes = 0, tap_ns = 0, copy_ns = 0;
	int tap = make_tap(name), sender = open_sender(name);
	uint8_t *program = make_memory(FRAME_PAGES * PAGE_BYTES);

	make_pages(iov + 1);
	make_frame(&frame);
	for (unsigned int failed = 0; bytes < wanted_bytes;) {
		check(write(sender, &frame, sizeof(frame)) == sizeof(frame), "sending");
		const uint64_t began_ns = cpu_ns();
		const int is_ours = read_frame(tap, iov, FRAME_PAGES + 1);
		const uint64_t took_ns = cpu_ns() - began_ns;
		if (!is_ours) {
			check(++failed < 100, "what was sent does not come");
			continue;
		}
		copy_ns += copy_to_program(program, iov + 1);
		bytes += DATA_BYTES;
		tap_ns += took_ns;
	}
	printf("bytes %llu\ntap_ns %llu\ncopy_ns %llu\n", (unsigned long long)bytes, (unsigned long long)tap_ns,
	       (unsigned long long)copy_ns);
}

/* Both ends of a connection over the loopback interface. */
static void make_connection(int *sender, int *receiver)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len_bytes = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), room = 4 << 20;

	*sender = socket(AF_INET, SOCK_STREAM, 0);
	check(listener >= 0 && *sender >= 0 &&
		      bind(listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
		      listen(listener, 1) == 0 && getsockname(listener, (struct sockaddr *)&address, &len_bytes) == 0,
	      "a listening socket");
	check(setsockopt(*sender, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0, "SO_SNDBUFFORCE");
	check(connect(*sender, (const struct sockaddr *)&address, sizeof(address)) == 0, "connecting");
	*receiver = accept(listener, NULL, NULL);
	check(*receiver >= 0, "accepting");
	close(listener);
}

/* RFC 1071, by words as wide as sums that cannot run over allow. */
static uint32_t sum_words(const uint8_t *bytes, size_t len_bytes)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len_bytes; i += sizeof(uint32_t)) {
		uint32_t word;

		memcpy(&word, bytes + i, sizeof(word));
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint32_t)sum;
}

static void measure_relay(uint64_t wanted_bytes)
{
	struct iovec pages[FRAME_PAGES];
	uint64_t bytes = 0, in_ns = 0, sum_ns = 0, out_ns = 0, vmm_ns = 0, copy_ns = 0;
	uint8_t *data = make_memory(FRAME_PAGES * PAGE_BYTES), *relay = make_memory(FRAME_PAGES * PAGE_BYTES);
	uint8_t *program = make_memory(FRAME_PAGES * PAGE_BYTES);
	int sender, receiver, to_vmm[2], room = 4 << 20;
	volatile uint32_t kept = 0;

	make_connection(&sender, &receiver);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, to_vmm) == 0, "a pair of sockets");
	check(setsockopt(to_vmm[0], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) == 0, "SO_SNDBUFFORCE");
	make_pages(pages);
	for (size_t i = 0; i < DATA_BYTES; i++)
		data[i] = (uint8_t)(i * 7);
	while (bytes < wanted_bytes) {
		check(send(sender, data, DATA_BYTES, 0) == (ssize_t)DATA_BYTES, "sending");
		const uint64_t t0 = cpu_ns();
		check(recv(receiver, relay, DATA_BYTES, MSG_WAITALL) == (ssize_t)DATA_BYTES, "receiving");
		const uint64_t t1 = cpu_ns();
		kept += sum_words(relay, DATA_BYTES);
		const uint64_t t2 = cpu_ns();
		check(send(to_vmm[0], relay, DATA_BYTES, 0) == (ssize_t)DATA_BYTES, "sending to the VMM");
		const uint64_t t3 = cpu_ns();
		check(readv(to_vmm[1], pages, FRAME_PAGES) == (ssize_t)DATA_BYTES, "the VMM's reading");
		const uint64_t t4 = cpu_ns();
		copy_ns += copy_to_program(program, pages);
		bytes += DATA_BYTES;
		in_ns += t1 - t0;
		sum_ns += t2 - t1;
		out_ns += t3 - t2;
		vmm_ns += t4 - t3;
	}
	printf("bytes %llu\nin_ns %llu\nsum_ns %llu\nout_ns %llu\nvmm_ns %llu\ncopy_ns %llu\n",
	       (unsigned long long)bytes, (unsigned long long)in_ns, (unsigned long long)sum_ns,
	       (unsigned long long)out_ns, (unsigned long long)vmm_ns, (unsigned long long)copy_ns);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "tap") == 0) {
		measure_tap(argv[2], strtoull(argv[3], NULL, 10) << 20);
	} else if (argc == 3 && strcmp(argv[1], "relay") == 0) {
		measure_relay(strtoull(argv[2], NULL, 10) << 20);
	} else {
		fprintf(stderr, "usage: net-floor tap NAME MEBIBYTES, or net-floor relay MEBIBYTES\n");
		return 2;
	}
	return 0;
}
