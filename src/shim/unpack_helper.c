// SPDX-License-Identifier: MIT
/*
 *      dom1                           helper
 *      packed bytes  --(fork)------>  the same pages, copied on write
 *      out_fd        <--------------  descriptor 0, written only
 *      why it failed <--(pipe)------  descriptor 1: one line of text, cut at PIPE_BUF, so it never blocks
 *
 * The helper loads libarchive (archive_library.h) before it looks at a byte of the kernel. From then on it has no other
 * descriptor and cannot open one (RLIMIT_NOFILE and a system call filter), is limited in memory, time and output, and
 * dies with its parent. What it says is treated as what it is: words of a process that a hostile kernel file may have
 * taken over. Success is judged from the output alone.
 *
 * Exactly one filter of libarchive is set up, instead of letting it guess: no nested streams, no external programs.
 */
#include "shim/unpack_helper.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim/archive_library.h"
#include "vmm/error.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef HAS_ADDRESS_SANITIZER
#define HAS_ADDRESS_SANITIZER 0
#endif

enum helper_fd { OUT_FD = 0, WHY_FD = 1, N_HELPER_FDS };

/* Not 1, with which a sanitizer ends, nor the shell's. */
enum helper_exit { EXIT_UNPACKED = 0, EXIT_DAMAGED = 10, EXIT_TOO_LONG, EXIT_NO_SPACE, EXIT_NO_LIBRARY, EXIT_SETUP };

enum { WHY_BYTES = 160 };

/* Says why in one write, and ends. No stdio and no atexit: they are the parent's. */
static _Noreturn void helper_exit(enum helper_exit status, const char *why)
{
	if (why != NULL) {
		ssize_t ignored = write(WHY_FD, why, strnlen(why, WHY_BYTES));

		(void)ignored;
	}
	_exit((int)status);
}

static gboolean limit(__rlimit_resource_t resource, rlim_t value)
{
	const struct rlimit rlimit = {.rlim_cur = value, .rlim_max = value};

	return setrlimit(resource, &rlimit) == 0;
}

/* What is mapped now, in bytes; 0 when /proc cannot be read. */
static uint64_t mapped_bytes(void)
{
	char text[64] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? g_ascii_strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/*
 * All that a decompressor needs after set-up. Anything else fails with EPERM instead of killing: a libc that asks
 * for something new and harmless must not make kernels unbootable.
 */
static gboolean install_filter(void)
{
#define ALLOW(name) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(write),
		ALLOW(brk),
		ALLOW(mmap),
		ALLOW(munmap),
		ALLOW(mremap),
		ALLOW(madvise),
		ALLOW(mprotect),
		ALLOW(futex),
		ALLOW(rt_sigreturn),
		ALLOW(sigaltstack) /* AddressSanitizer's */,
		ALLOW(exit),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
#undef ALLOW
	const struct sock_fprog program = {.len = G_N_ELEMENTS(code), .filter = code};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* out and why become descriptors 0 and 1, whatever numbers they have now; all others are closed. */
static gboolean arrange_descriptors(int out_fd, int why_fd)
{
	/* Above both targets first, or one dup2 could close the other's source. */
	int out = fcntl(out_fd, F_DUPFD, N_HELPER_FDS);
	int why = fcntl(why_fd, F_DUPFD, N_HELPER_FDS);

	return out >= 0 && why >= 0 && dup2(out, OUT_FD) >= 0 && dup2(why, WHY_FD) >= 0 &&
	       syscall(SYS_close_range, N_HELPER_FDS, ~0U, 0) == 0;
}

static void lock_down(const struct unpack_limits *limits, int out_fd, int why_fd, pid_t parent)
{
	uint64_t mapped = mapped_bytes();
	gboolean ok;

	ok = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
	if (getppid() != parent)
		_exit(EXIT_SETUP); /* it died before it was watched */
	ok = ok && arrange_descriptors(out_fd, why_fd);
	ok = ok && limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, 0) && limit(RLIMIT_CPU, limits->cpu_seconds) &&
	     limit(RLIMIT_FSIZE, limits->output_bytes);
	/* The sanitizer's shadow is terabytes of address space. */
	if (!HAS_ADDRESS_SANITIZER)
		ok = ok && limit(RLIMIT_AS, mapped + limits->memory_bytes);
	ok = ok && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && install_filter();
	if (!ok)
		helper_exit(EXIT_SETUP, g_strerror(errno));
}

static void write_out(const uint8_t *bytes, size_t len_bytes)
{
	while (len_bytes != 0) {
		ssize_t n = write(OUT_FD, bytes, len_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EFBIG)
			helper_exit(EXIT_TOO_LONG, NULL);
		if (n <= 0)
			helper_exit(EXIT_NO_SPACE, g_strerror(errno));
		bytes += n;
		len_bytes -= (size_t)n;
	}
}

static int filter_of(enum kernel_compression compression)
{
	switch (compression) {
	case KERNEL_COMPRESSION_GZIP:
		return ARCHIVE_FILTER_GZIP;
	case KERNEL_COMPRESSION_BZIP2:
		return ARCHIVE_FILTER_BZIP2;
	case KERNEL_COMPRESSION_LZMA:
		return ARCHIVE_FILTER_LZMA;
	case KERNEL_COMPRESSION_XZ:
		return ARCHIVE_FILTER_XZ;
	case KERNEL_COMPRESSION_LZ4:
		return ARCHIVE_FILTER_LZ4;
	case KERNEL_COMPRESSION_ZSTD:
		return ARCHIVE_FILTER_ZSTD;
	case KERNEL_COMPRESSION_NONE:
	case KERNEL_COMPRESSION_LZO:
		break;
	}
	return -1;
}

static _Noreturn void unpack(const struct archive_library *library, const uint8_t *packed, size_t packed_len,
			     enum kernel_compression compression, uint64_t max_bytes)
{
	struct archive *archive = library->read_new();
	struct archive_entry *entry;
	uint64_t total = 0;
	const void *block;
	size_t len_bytes;
	la_int64_t offset;
	int result;

	if (archive == NULL)
		helper_exit(EXIT_NO_SPACE, "no memory");
	if (library->read_support_format_raw(archive) != ARCHIVE_OK ||
	    library->read_append_filter(archive, filter_of(compression)) != ARCHIVE_OK ||
	    library->read_open_memory(archive, packed, packed_len) != ARCHIVE_OK ||
	    library->read_next_header(archive, &entry) != ARCHIVE_OK)
		helper_exit(EXIT_DAMAGED, library->error_string(archive));
	while ((result = library->read_data_block(archive, &block, &len_bytes, &offset)) == ARCHIVE_OK) {
		if (len_bytes > max_bytes - total)
			helper_exit(EXIT_TOO_LONG, NULL);
		total += len_bytes;
		write_out(block, len_bytes);
	}
	if (result != ARCHIVE_EOF)
		helper_exit(EXIT_DAMAGED, library->error_string(archive));
	/* Nothing is freed: the process ends. */
	_exit(EXIT_UNPACKED);
}

/* Reads to the end: the helper's end of the pipe closes when it ends, however it ends. */
static void read_why(int fd, char *why, size_t size)
{
	size_t used = 0;
	ssize_t n;

	while (used < size - 1) {
		n = read(fd, why + used, size - 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	for (size_t i = 0; i < used; i++)
		if (!g_ascii_isprint(why[i]))
			why[i] = '?';
	why[used] = '\0';
}

static gboolean judge(int status, const char *why, const struct unpack_limits *limits, const char *name, GError **error)
{
	int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == EXIT_UNPACKED)
		return TRUE;
	if (signal_number == SIGXFSZ || code == EXIT_TOO_LONG)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: it unpacks to more than %" G_GUINT64_FORMAT
			    " MiB, which is no kernel: get the file again",
			    name, limits->output_bytes >> 20);
	else if (signal_number == SIGXCPU || signal_number == SIGKILL)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: unpacking it was stopped (more than %u s of processor time, or out of memory): get "
			    "the file again, or give its vmlinux",
			    name, limits->cpu_seconds);
	else if (code == EXIT_DAMAGED)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: it cannot be unpacked: %s: the file is damaged, get it again", name,
			    why[0] != '\0' ? why : "unknown reason");
	else if (code == EXIT_NO_SPACE || code == EXIT_SETUP)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "%s: it cannot be unpacked on this host: %s: free memory, or give its vmlinux", name,
			    why[0] != '\0' ? why : "unknown reason");
	else if (code == EXIT_NO_LIBRARY)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST,
			    "%s: it cannot be unpacked on this host: %s: install libarchive, or give its vmlinux", name, why);
	else
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE,
			    "%s: the unpacker died (signal %d, status %d): the file is damaged, or made to do harm",
			    name, signal_number, code);
	return FALSE;
}

static gboolean host_failed(const char *what, const char *name, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "%s: it cannot be unpacked on this host: %s: %s", name, what,
		    g_strerror(errno));
	return FALSE;
}

gboolean unpack_in_helper(const uint8_t *packed, size_t packed_len, enum kernel_compression compression,
			  const struct unpack_limits *limits, int out_fd, const char *name, GError **error)
{
	char why[WHY_BYTES + 1] = "";
	pid_t parent = getpid(), pid, waited;
	int pipe_fds[2], status;

	if (pipe2(pipe_fds, O_CLOEXEC) != 0)
		return host_failed("pipe", name, error);
	pid = fork();
	if (pid == 0) {
		struct archive_library library;
		const char *problem;

		if (!archive_library_open(&library, &problem)) {
			ssize_t ignored = write(pipe_fds[1], problem, strnlen(problem, WHY_BYTES));

			(void)ignored;
			_exit(EXIT_NO_LIBRARY);
		}
		lock_down(limits, out_fd, pipe_fds[1], parent);
		unpack(&library, packed, packed_len, compression, limits->output_bytes);
	}
	close(pipe_fds[1]);
	if (pid < 0) {
		close(pipe_fds[0]);
		return host_failed("fork", name, error);
	}
	read_why(pipe_fds[0], why, sizeof(why));
	close(pipe_fds[0]);
	do
		waited = waitpid(pid, &status, 0);
	while (waited < 0 && errno == EINTR);
	if (waited < 0)
		return host_failed("waitpid", name, error);
	return judge(status, why, limits, name, error);
}
