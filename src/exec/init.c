/* SPDX-License-Identifier: MIT */
/*
 * The first program of a guest of dom1 exec: it runs the command, and passes on its output and its exit status by hvc1,
 * where no kernel message comes. It runs on any root, so it has no library: Linux's system calls for x86-64 are made here.
 *
 *   root, mounts --> hvc1, raw --> READY, GO --> fork, exec --> poll: pipes to frames, frames to a pipe --> STATUS --> power off
 *
 * What goes wrong before there is a command is said on the kernel's console, and the guest powers off without STATUS.
 */
#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/reboot.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/wire.h"

#define SIGCHLD           17
#define SFD_NONBLOCK      00004000
#define SIG_BLOCK         0
#define SIG_UNBLOCK       1
#define WNOHANG           1
#define COMMAND_BYTES     65536
#define ARGUMENTS_MAX     2048
#define DISK_WAIT_MS      30000
#define STEP_MS           10
#define ANSWER_MS         1000
#define STATUS_NOT_FOUND  127
#define STATUS_NOT_RUN    126
#define STATUS_SIGNALLED  128

struct pipe_end {
	int fd; /* -1: closed */
	uint8_t type;
};

static char command[COMMAND_BYTES];
static char *arguments[ARGUMENTS_MAX + 1];
static char *const ENVIRONMENT[] = { (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				     (char *)"HOME=/root", (char *)"TERM=dumb", NULL };

static long call(long number, long a1, long a2, long a3, long a4, long a5)
{
	register long r10 __asm__("r10") = a4;
	register long r8 __asm__("r8") = a5;
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a1), "S"(a2), "d"(a3), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return result;
}

#define CALL(name, a1, a2, a3, a4, a5) \
	call(__NR_##name, (long)(a1), (long)(a2), (long)(a3), (long)(a4), (long)(a5))

/* The compiler calls it. */
void *memcpy(void *to, const void *from, size_t len_bytes);
void *memcpy(void *to, const void *from, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

void *memset(void *at, int byte, size_t len_bytes);
void *memset(void *at, int byte, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		((volatile uint8_t *)at)[i] = (uint8_t)byte;
	return at;
}

static size_t length(const char *text)
{
	size_t len_bytes = 0;

	while (text[len_bytes])
		len_bytes++;
	return len_bytes;
}

static bool begins(const char *text, const char *with)
{
	while (*with && *text == *with)
		text++, with++;
	return !*with;
}

static void say(int fd, const char *text)
{
	(void)CALL(write, fd, text, length(text), 0, 0);
}

static void power_off(void) __attribute__((noreturn));
static void power_off(void)
{
	(void)CALL(sync, 0, 0, 0, 0, 0);
	(void)CALL(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0, 0);
	for (;;)
		(void)CALL(pause, 0, 0, 0, 0, 0);
}

static void give_up(const char *what) __attribute__((noreturn));
static void give_up(const char *what)
{
	int fd = (int)CALL(open, "/dev/console", O_WRONLY | O_NOCTTY, 0, 0, 0);

	say(fd, "dom1-init: ");
	say(fd, what);
	say(fd, "\n");
	power_off();
}

static void wait_a_step(void)
{
	const struct __kernel_timespec step = { .tv_nsec = STEP_MS * 1000000 };

	(void)CALL(nanosleep, &step, NULL, 0, 0, 0);
}

/* Device nodes come when their drivers have met their back ends. -1: this one does not. */
static int open_device(const char *path, int flags)
{
	for (int waited_ms = 0; waited_ms < DISK_WAIT_MS; waited_ms += STEP_MS) {
		int fd = (int)CALL(open, path, flags, 0, 0, 0);

		if (fd >= 0)
			return fd;
		wait_a_step();
	}
	return -1;
}

static bool mount(const char *what, const char *where, const char *type, unsigned long flags)
{
	(void)CALL(mkdir, where, 0755, 0, 0, 0);
	return CALL(mount, what, where, type, flags, 0) == 0;
}

static size_t read_file(const char *path, char *bytes, size_t room_bytes)
{
	int fd = (int)CALL(open, path, O_RDONLY, 0, 0, 0);
	size_t len_bytes = 0;
	long got = 0;

	while (fd >= 0 && len_bytes < room_bytes - 1 && (got = CALL(read, fd, bytes + len_bytes, room_bytes - 1 - len_bytes, 0, 0)) > 0)
		len_bytes += (size_t)got;
	bytes[len_bytes] = '\0';
	if (fd >= 0)
		(void)CALL(close, fd, 0, 0, 0, 0);
	return len_bytes;
}

/* The kernel says by itself why it does not take one. */
static void load_modules(void)
{
	for (unsigned int i = 0; i < 100; i++) {
		char path[] = "/" EXEC_MODULE_NAME "00";

		path[sizeof(path) - 3] = (char)('0' + i / 10);
		path[sizeof(path) - 2] = (char)('0' + i % 10);
		int fd = (int)CALL(open, path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
		if (fd < 0)
			return;
		(void)CALL(finit_module, fd, "", 0, 0, 0);
		(void)CALL(close, fd, 0, 0, 0, 0);
	}
}

/* By all that the kernel knows and that needs a device: lines of a tab and a name. */
static bool mount_disk(const char *device, const char *where)
{
	static char types[4096];

	(void)read_file("/proc/filesystems", types, sizeof(types));
	for (char *line = types; *line;) {
		char *end = line;

		while (*end && *end != '\n')
			end++;
		bool is_last = !*end;
		*end = '\0';
		if (line[0] == '\t' && (mount(device, where, line + 1, 0) || mount(device, where, line + 1, MS_RDONLY)))
			return true;
		line = is_last ? end : end + 1;
	}
	return false;
}

/* The disk that the kernel's command line names becomes the root; the mounts that are there move with it. */
static void enter_disk(void)
{
	static const char *const mounts[] = { "/dev", "/proc", "/sys" };
	static char words[4096];
	char device[64] = "/dev/";
	size_t n = 5;

	(void)read_file("/proc/cmdline", words, sizeof(words));
	char *word = words;
	while (*word && !begins(word, EXEC_DISK_WORD))
		word++;
	if (!*word)
		return;
	for (word += sizeof(EXEC_DISK_WORD) - 1; *word > ' ' && n < sizeof(device) - 1; word++)
		device[n++] = *word;
	int fd = open_device(device, O_RDONLY);
	if (fd < 0)
		give_up("the root's disk does not appear: is the kernel's driver xen-blkfront a module (--module)?");
	(void)CALL(close, fd, 0, 0, 0, 0);
	if (!mount_disk(device, "/dom1-root"))
		give_up("the root's disk has no file system that this kernel knows (--module)");
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		char to[32] = "/dom1-root";

		memcpy(to + 10, mounts[i], length(mounts[i]) + 1);
		(void)CALL(mount, mounts[i], to, NULL, MS_MOVE, NULL);
	}
	if (CALL(chdir, "/dom1-root", 0, 0, 0, 0) != 0 || CALL(mount, ".", "/", NULL, MS_MOVE, NULL) != 0 ||
	    CALL(chroot, ".", 0, 0, 0, 0) != 0)
		give_up("the root's disk cannot be made the root");
}

static int open_channel(void)
{
	struct termios settings;
	int fd = open_device("/dev/hvc1", O_RDWR | O_NOCTTY);

	if (fd < 0 || CALL(ioctl, fd, TCGETS, &settings, 0, 0) != 0)
		give_up("hvc1 does not appear: does this kernel have CONFIG_HVC_XEN_FRONTEND?");
	settings.c_iflag = settings.c_oflag = settings.c_lflag = 0;
	settings.c_cflag = (settings.c_cflag & ~(unsigned int)(CSIZE | PARENB)) | CS8 | CREAD;
	settings.c_cc[VMIN] = 1;
	settings.c_cc[VTIME] = 0;
	(void)CALL(ioctl, fd, TCSETS, &settings, 0, 0);
	return fd;
}

static void put_all(int fd, const uint8_t *bytes, size_t len_bytes)
{
	while (len_bytes > 0) {
		long written = CALL(write, fd, bytes, len_bytes, 0, 0);

		if (written < 0 && written != -EINTR && written != -EAGAIN)
			return;
		if (written > 0) {
			bytes += written;
			len_bytes -= (size_t)written;
		}
	}
}

static bool get_all(int fd, uint8_t *bytes, size_t len_bytes)
{
	while (len_bytes > 0) {
		long got = CALL(read, fd, bytes, len_bytes, 0, 0);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		len_bytes -= (size_t)got;
	}
	return true;
}

static void send_frame(int fd, uint8_t type, const uint8_t *payload, size_t len_bytes)
{
	const uint8_t header[EXEC_HEADER_BYTES] = { type, (uint8_t)len_bytes, (uint8_t)(len_bytes >> 8) };

	put_all(fd, header, sizeof(header));
	put_all(fd, payload, len_bytes);
}

/* The frame's type, 0 at the end; its payload is in bytes. */
static uint8_t receive_frame(int fd, uint8_t bytes[EXEC_PAYLOAD_BYTES], size_t *len_bytes)
{
	uint8_t header[EXEC_HEADER_BYTES];

	if (!get_all(fd, header, sizeof(header)))
		return 0;
	*len_bytes = header[1] | (size_t)header[2] << 8;
	return *len_bytes <= EXEC_PAYLOAD_BYTES && get_all(fd, bytes, *len_bytes) ? header[0] : 0;
}

static void execute(void)
{
	const char *file = arguments[0];
	long why = -ENOENT;

	if (CALL(chdir, command, 0, 0, 0, 0) != 0)
		(void)CALL(chdir, "/", 0, 0, 0, 0);
	for (const char *c = file; *c; c++)
		if (*c == '/')
			why = CALL(execve, file, arguments, ENVIRONMENT, 0, 0);
	for (const char *folder = ENVIRONMENT[0] + sizeof("PATH=") - 1; why == -ENOENT && *folder;) {
		static char path[4096];
		size_t n = 0;

		while (*folder && *folder != ':')
			path[n++] = *folder++;
		folder += *folder == ':';
		path[n++] = '/';
		if (n + length(file) + 1 > sizeof(path))
			break;
		memcpy(path + n, file, length(file) + 1);
		why = CALL(execve, path, arguments, ENVIRONMENT, 0, 0);
	}
	say(2, "dom1-init: ");
	say(2, file);
	say(2, why == -ENOENT ? ": not found in the guest's root\n" : ": cannot be executed\n");
	(void)CALL(exit_group, why == -ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_RUN, 0, 0, 0, 0);
}

static long start(int pipes[3][2])
{
	const uint64_t children = UINT64_C(1) << (SIGCHLD - 1);

	for (int i = 0; i < 3; i++)
		if (CALL(pipe2, pipes[i], O_CLOEXEC, 0, 0, 0) != 0)
			give_up("no pipes");
	long pid = CALL(fork, 0, 0, 0, 0, 0);
	if (pid != 0)
		return pid;
	(void)CALL(rt_sigprocmask, SIG_UNBLOCK, &children, NULL, sizeof(children), 0);
	(void)CALL(setsid, 0, 0, 0, 0, 0);
	/* The parent writes to the first pipe, and reads from the others. */
	for (int i = 0; i < 3; i++)
		(void)CALL(dup2, pipes[i][i == 0 ? 0 : 1], i, 0, 0, 0);
	execute();
	return -1;
}

/* FALSE: nothing is there now, or ever again. */
static bool pass_output(int channel, struct pipe_end *from)
{
	static uint8_t bytes[EXEC_PAYLOAD_BYTES];
	long got = CALL(read, from->fd, bytes, sizeof(bytes), 0, 0);

	if (got > 0)
		send_frame(channel, from->type, bytes, (size_t)got);
	else if (got != -EAGAIN && got != -EINTR)
		from->fd = -1;
	return got > 0;
}

/* The command's own status, when it has ended: the first program reaps all. */
static bool reap(long pid, uint8_t *status)
{
	bool ended = false;
	int how;
	long dead;

	while ((dead = CALL(wait4, -1, &how, WNOHANG, NULL, 0)) > 0) {
		if (dead != pid)
			continue;
		ended = true;
		*status = (uint8_t)((how & 0x7f) == 0 ? how >> 8 : STATUS_SIGNALLED + (how & 0x7f));
	}
	return ended;
}

/* Until dom1 has heard it; nobody may listen yet. */
static void shake_hands(int channel)
{
	struct pollfd answer = { .fd = channel, .events = POLLIN };
	uint8_t bytes[EXEC_PAYLOAD_BYTES];
	size_t len_bytes;

	do
		send_frame(channel, EXEC_READY, NULL, 0);
	while (CALL(poll, &answer, 1, ANSWER_MS, 0, 0) == 0);
	if (receive_frame(channel, bytes, &len_bytes) != EXEC_GO)
		give_up("what comes by hvc1 is not dom1 exec");
}

/* A frame at a time, when the pipe has room for all of it: PIPE_BUF is as much as a frame. */
static void pass_input(int channel, int *to)
{
	static uint8_t bytes[EXEC_PAYLOAD_BYTES];
	size_t len_bytes = 0;

	if (receive_frame(channel, bytes, &len_bytes) == EXEC_INPUT && len_bytes > 0 &&
	    CALL(write, *to, bytes, len_bytes, 0, 0) == (long)len_bytes)
		return;
	(void)CALL(close, *to, 0, 0, 0, 0);
	*to = -1;
}

static uint8_t serve(int channel, int child_fd, long pid, int input, struct pipe_end outputs[2])
{
	uint8_t status = 0;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = child_fd, .events = POLLIN },
			{ .fd = outputs[0].fd, .events = POLLIN },
			{ .fd = outputs[1].fd, .events = POLLIN },
			{ .fd = input, .events = POLLOUT },
			{ .fd = -1, .events = POLLIN },
		};

		/* Input is asked for when there is room for it: poll() would else come back at once, for ever. */
		if (input >= 0 && CALL(poll, &fds[3], 1, 0, 0, 0) == 1)
			fds[4].fd = channel, fds[3].fd = -1;
		if (CALL(poll, fds, 5, -1, 0, 0) < 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (fds[1 + i].revents)
				(void)pass_output(channel, &outputs[i]);
		if (fds[4].revents)
			pass_input(channel, &input);
		if (fds[0].revents) {
			uint8_t told[128];

			(void)CALL(read, child_fd, told, sizeof(told), 0, 0);
			if (reap(pid, &status))
				return status;
		}
	}
}

static void parse_command(void)
{
	size_t len_bytes = read_file("/" EXEC_COMMAND_NAME, command, sizeof(command));
	size_t n = 0;

	for (size_t at = length(command) + 1; at < len_bytes && n < ARGUMENTS_MAX; at += length(command + at) + 1)
		arguments[n++] = command + at;
	if (n == 0)
		give_up("there is no command");
}

void init_main(void) __attribute__((noreturn));
void init_main(void)
{
	const uint64_t children = UINT64_C(1) << (SIGCHLD - 1);
	int pipes[3][2];

	(void)mount("devtmpfs", "/dev", "devtmpfs", 0);
	(void)mount("proc", "/proc", "proc", 0);
	(void)mount("sysfs", "/sys", "sysfs", 0);
	parse_command();
	load_modules();
	enter_disk();
	(void)CALL(mkdir, "/tmp", 01777, 0, 0, 0);
	int channel = open_channel();
	shake_hands(channel);

	(void)CALL(rt_sigprocmask, SIG_BLOCK, &children, NULL, sizeof(children), 0);
	int child_fd = (int)CALL(signalfd4, -1, &children, sizeof(children), SFD_NONBLOCK | O_CLOEXEC, 0);
	long pid = start(pipes);
	struct pipe_end outputs[2] = { { pipes[1][0], EXEC_OUTPUT }, { pipes[2][0], EXEC_ERROR } };
	(void)CALL(close, pipes[0][0], 0, 0, 0, 0);
	for (int i = 1; i < 3; i++) {
		(void)CALL(close, pipes[i][1], 0, 0, 0, 0);
		(void)CALL(fcntl, pipes[i][0], F_SETFL, O_NONBLOCK, 0, 0);
	}
	uint8_t status = serve(channel, child_fd, pid, pipes[0][1], outputs);
	/* What it wrote before it ended; what its children go on to write is nobody's. */
	for (int i = 0; i < 2; i++)
		while (outputs[i].fd >= 0 && pass_output(channel, &outputs[i]))
			;
	send_frame(channel, EXEC_STATUS, &status, 1);
	(void)CALL(ioctl, channel, TCSBRK, 1, 0, 0);
	power_off();
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	and $-16, %rsp\n"
	"	call init_main\n");
