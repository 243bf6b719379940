// SPDX-License-Identifier: MIT
/*
 * Starts a VMM and tells when things happen, by means that are the same for every VMM.
 *
 *   boot-watch --result FILE --mark NAME=TEXT... [OPTION...] -- COMMAND...
 *
 *   --result FILE     gets lines "NAME NUMBER": marks in ns after the exec of COMMAND, then what OPTIONs add
 *   --mark NAME=TEXT  the first line with TEXT on COMMAND's standard output; the last mark ends the watch
 *   --tracing DIR     folder of a tracing instance: it traces COMMAND and what that starts
 *   --entry           also "first_entry": the first KVM_RUN that enters the guest (tracepoint kvm:kvm_entry);
 *                     the tracepoint is off again from then on
 *   --event NAME      trace kvm:NAME until the last mark; what was traced stays in DIR
 *   --memory KIB      at the last mark, Private_Dirty in KiB of all processes that came of COMMAND: "private" without
 *                     what is taken for guest RAM, "guest_ram" of that, and "processes". Guest RAM is what lies side by
 *                     side, all of it accessible, and has at least KIB
 *   --log FILE        standard output of COMMAND also goes there
 *   --limit SECONDS   default 120
 *
 * COMMAND is ended after the last mark by SIGTERM, then SIGKILL. Status 0: every mark was seen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_MARKS     16
#define MAX_EVENTS    16
#define MAX_PROCESSES 64
#define LINE_BYTES    4096
#define GRACE_MS      5000
/* For the kernel, while the rest of free memory is taken. */

struct mark {
	const char *name, *text;
	uint64_t t_ns;
};

struct memory {
	uint64_t private_kib, guest_ram_kib;
	unsigned int processes;
};

struct watch {
	const char *result_path, *tracing_path, *log_path;
	struct mark marks[MAX_MARKS];
	size_t n_marks;
	const char *events[MAX_EVENTS];
	size_t n_events;
	bool wants_entry;
	uint64_t ram_mapping_kib; /* 0: do not look at memory */
	int limit_s;

	uint64_t *exec_ns; /* shared with the child */
	pid_t pid;
	int out_fd, log_fd, pipe_fd;
	uint64_t entry_ns;
	char line[LINE_BYTES], trace[LINE_BYTES];
	size_t line_bytes, trace_bytes;
	struct memory memory;
};

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "boot-watch: %s: %s\n", what, strerror(errno));
	exit(125);
}

_Noreturn static void usage(const char *what)
{
	fprintf(stderr, "boot-watch: %s: see the head of boot-watch.c\n", what);
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Cuts "A=B" in two. */
static const char *second_half(char *text)
{
	char *sign = strchr(text, '=');

	if (!sign)
		usage(text);
	*sign = '\0';
	return sign + 1;
}

static void parse(struct watch *watch, int argc, char **argv)
{
	static const struct option options[] = {
		{ "result", required_argument, NULL, 'r' }, { "mark", required_argument, NULL, 'm' },
		{ "tracing", required_argument, NULL, 't' }, { "entry", no_argument, NULL, 'e' },
		{ "memory", required_argument, NULL, 'k' }, { "event", required_argument, NULL, 'v' },
		{ "log", required_argument, NULL, 'o' }, { "limit", required_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (option) {
		case 'r':
			watch->result_path = optarg;
			break;
		case 'm':
			if (watch->n_marks == MAX_MARKS)
				usage("too many marks");
			watch->marks[watch->n_marks] = (struct mark){ .name = optarg, .text = second_half(optarg) };
			watch->n_marks++;
			break;
		case 't':
			watch->tracing_path = optarg;
			break;
		case 'e':
			watch->wants_entry = true;
			break;
		case 'k':
			watch->ram_mapping_kib = strtoull(optarg, NULL, 10);
			break;
		case 'v':
			if (watch->n_events == MAX_EVENTS)
				usage("too many events");
			watch->events[watch->n_events++] = optarg;
			break;
		case 'o':
			watch->log_path = optarg;
			break;
		case 'l':
			watch->limit_s = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
	const bool traces = watch->wants_entry || watch->n_events > 0;
	if (!watch->result_path || watch->n_marks == 0 || optind == argc || (traces && !watch->tracing_path))
		usage("something is missing");
}

static void write_file(const char *folder, const char *name, const char *text)
{
	char path[LINE_BYTES];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fail(path);
	close(fd);
}

static void enable_event(const struct watch *watch, const char *event, bool on)
{
	char name[256];

	snprintf(name, sizeof(name), "events/kvm/%s/enable", event);
	write_file(watch->tracing_path, name, on ? "1" : "0");
}

/* Of COMMAND and what it starts; what an earlier run left is dropped. */
static void start_tracing(struct watch *watch)
{
	char text[LINE_BYTES];

	write_file(watch->tracing_path, "tracing_on", "1");
	write_file(watch->tracing_path, "trace_clock", "mono");
	write_file(watch->tracing_path, "trace", "");
	write_file(watch->tracing_path, "options/event-fork", "1");
	snprintf(text, sizeof(text), "%d", (int)watch->pid);
	write_file(watch->tracing_path, "set_event_pid", text);
	for (size_t i = 0; i < watch->n_events; i++)
		enable_event(watch, watch->events[i], true);
	if (!watch->wants_entry)
		return;
	snprintf(text, sizeof(text), "%s/trace_pipe", watch->tracing_path);
	watch->pipe_fd = open(text, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (watch->pipe_fd < 0)
		fail(text);
	enable_event(watch, "kvm_entry", true);
}

static void stop_tracing(const struct watch *watch)
{
	write_file(watch->tracing_path, "tracing_on", "0");
	for (size_t i = 0; i < watch->n_events; i++)
		enable_event(watch, watch->events[i], false);
	if (watch->wants_entry)
		enable_event(watch, "kvm_entry", false);
}

/* The child waits for its pid to be traced, notes the time, and becomes COMMAND. */
_Noreturn static void become(const struct watch *watch, int go_fd, int out_fd, char **argv)
{
	int null_fd = open("/dev/null", O_RDWR);
	char byte;

	if (read(go_fd, &byte, 1) != 1)
		_exit(125);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null_fd, STDIN_FILENO);
	dup2(out_fd, STDOUT_FILENO);
	*watch->exec_ns = now_ns();
	execvp(argv[0], argv);
	fail(argv[0]);
}

static void start(struct watch *watch, char **argv)
{
	int go[2], out[2];

	watch->exec_ns = mmap(NULL, sizeof(*watch->exec_ns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (watch->exec_ns == MAP_FAILED || pipe2(go, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
		fail("pipe");
	/* So that processes whose parent ends stay below us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (watch->log_path) {
		watch->log_fd = open(watch->log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (watch->log_fd < 0)
			fail(watch->log_path);
	}
	watch->pid = fork();
	if (watch->pid < 0)
		fail("fork");
	if (watch->pid == 0)
		become(watch, go[0], out[1], argv);
	close(out[1]);
	watch->out_fd = out[0];
	if (watch->tracing_path)
		start_tracing(watch);
	if (write(go[1], "", 1) != 1)
		fail("pipe");
	close(go[0]);
	close(go[1]);
}

/* "  qemu-123 [001] ..... 12.345678: kvm_entry: ..." */
static void read_trace_line(struct watch *watch, const char *line)
{
	const char *event = strstr(line, ": kvm_entry:");
	const char *start = event;
	uint64_t s, us;

	while (start && start > line && start[-1] != ' ')
		start--;
	if (!event || sscanf(start, "%" SCNu64 ".%6" SCNu64, &s, &us) != 2)
		return;
	watch->entry_ns = s * UINT64_C(1000000000) + us * 1000;
	enable_event(watch, "kvm_entry", false);
	close(watch->pipe_fd);
	watch->pipe_fd = -1;
}

static void read_trace(struct watch *watch)
{
	char *line = watch->trace, *end = line + watch->trace_bytes;
	ssize_t got = read(watch->pipe_fd, end, sizeof(watch->trace) - 1 - watch->trace_bytes);

	if (got <= 0)
		return;
	watch->trace_bytes += (size_t)got;
	watch->trace[watch->trace_bytes] = '\0';
	while (watch->pipe_fd >= 0 && (end = strchr(line, '\n'))) {
		*end = '\0';
		read_trace_line(watch, line);
		line = end + 1;
	}
	watch->trace_bytes = strlen(line);
	memmove(watch->trace, line, watch->trace_bytes);
	if (watch->trace_bytes == sizeof(watch->trace) - 1)
		watch->trace_bytes = 0;
}

static bool is_done(const struct watch *watch)
{
	return watch->marks[watch->n_marks - 1].t_ns != 0;
}

static void read_line(struct watch *watch, uint64_t t_ns)
{
	watch->line[watch->line_bytes] = '\0';
	for (size_t i = 0; i < watch->n_marks; i++)
		if (watch->marks[i].t_ns == 0 && strstr(watch->line, watch->marks[i].text))
			watch->marks[i].t_ns = t_ns;
	watch->line_bytes = 0;
}

/* False at its end. */
static bool read_output(struct watch *watch)
{
	char bytes[LINE_BYTES];
	ssize_t got = read(watch->out_fd, bytes, sizeof(bytes));
	uint64_t t_ns = now_ns();

	if (got <= 0)
		return got < 0 && errno == EINTR;
	if (watch->log_fd >= 0 && write(watch->log_fd, bytes, (size_t)got) != got)
		fail(watch->log_path);
	for (ssize_t i = 0; i < got; i++) {
		if (bytes[i] == '\n')
			read_line(watch, t_ns);
		else if (bytes[i] != '\0' && watch->line_bytes < sizeof(watch->line) - 1)
			watch->line[watch->line_bytes++] = bytes[i];
	}
	return true;
}

static void follow(struct watch *watch)
{
	const uint64_t limit_ns = now_ns() + (uint64_t)watch->limit_s * UINT64_C(1000000000);

	while (!is_done(watch) && now_ns() < limit_ns) {
		struct pollfd fds[] = { { watch->out_fd, POLLIN, 0 }, { watch->pipe_fd, POLLIN, 0 } };

		if (poll(fds, 2, 200) < 0 && errno != EINTR)
			fail("poll");
		if (fds[1].revents)
			read_trace(watch);
		if (fds[0].revents && !read_output(watch))
			break;
	}
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512];
	const char *end;
	ssize_t got;
	int fd, parent;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	end = strrchr(text, ')');
	return end && sscanf(end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool is_below(pid_t pid, pid_t ancestor)
{
	for (int depth = 0; pid > 1 && depth < 16; depth++) {
		if (pid == ancestor)
			return true;
		pid = parent_of(pid);
	}
	return false;
}

static size_t find_processes(pid_t pids[MAX_PROCESSES])
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	if (!dir)
		fail("/proc");
	while ((entry = readdir(dir)) && n < MAX_PROCESSES) {
		pid_t pid = atoi(entry->d_name);

		if (pid > 1 && pid != getpid() && is_below(pid, getpid()))
			pids[n++] = pid;
	}
	closedir(dir);
	return n;
}

/* Mappings side by side. */
struct stretch {
	uint64_t end, size_kib, dirty_kib;
};

static void end_stretch(struct watch *watch, struct stretch *stretch)
{
	if (stretch->size_kib >= watch->ram_mapping_kib)
		watch->memory.guest_ram_kib += stretch->dirty_kib;
	else
		watch->memory.private_kib += stretch->dirty_kib;
	*stretch = (struct stretch){ 0 };
}

static void add_memory(struct watch *watch, pid_t pid)
{
	struct stretch stretch = { 0 };
	uint64_t start, end, dirty_kib;
	char path[64], line[512], access;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	if (!smaps)
		return;
	watch->memory.processes++;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c", &start, &end, &access) == 3) {
			if (start != stretch.end || access != 'r')
				end_stretch(watch, &stretch);
			stretch.end = access == 'r' ? end : 0;
			stretch.size_kib += (end - start) / 1024;
		} else if (sscanf(line, "Private_Dirty: %" SCNu64, &dirty_kib) == 1)
			stretch.dirty_kib += dirty_kib;
	}
	end_stretch(watch, &stretch);
	fclose(smaps);
}

static void look_inside(struct watch *watch)
{
	pid_t pids[MAX_PROCESSES];

	for (size_t i = 0, n = find_processes(pids); i < n; i++)
		add_memory(watch, pids[i]);
}

/* What it still prints is taken, lest it wait for us. */
static void end(struct watch *watch)
{
	const uint64_t limit_ns = now_ns() + GRACE_MS * UINT64_C(1000000);
	struct pollfd out = { watch->out_fd, POLLIN, 0 };
	bool open = true;
	int status;

	kill(watch->pid, SIGTERM);
	while (open && now_ns() < limit_ns)
		if (poll(&out, 1, 100) > 0)
			open = read_output(watch);
	if (open) {
		pid_t pids[MAX_PROCESSES];

		for (size_t i = 0, n = find_processes(pids); i < n; i++)
			kill(pids[i], SIGKILL);
	}
	while (waitpid(-1, &status, 0) > 0 || errno == EINTR)
		;
}

static bool tell(const struct watch *watch)
{
	FILE *result = fopen(watch->result_path, "we");
	bool complete = true;

	if (!result)
		fail(watch->result_path);
	if (watch->wants_entry) {
		complete = watch->entry_ns != 0;
		if (complete)
			fprintf(result, "first_entry %" PRIu64 "\n", watch->entry_ns - *watch->exec_ns);
	}
	for (size_t i = 0; i < watch->n_marks; i++) {
		const struct mark *mark = &watch->marks[i];

		complete = complete && mark->t_ns != 0;
		if (mark->t_ns != 0)
			fprintf(result, "%s %" PRIu64 "\n", mark->name, mark->t_ns - *watch->exec_ns);
	}
	if (watch->ram_mapping_kib != 0)
		fprintf(result, "private %" PRIu64 "\nguest_ram %" PRIu64 "\nprocesses %u\n", watch->memory.private_kib,
			watch->memory.guest_ram_kib, watch->memory.processes);
	if (fclose(result) != 0)
		fail(watch->result_path);
	return complete;
}

int main(int argc, char **argv)
{
	struct watch watch = { .limit_s = 120, .out_fd = -1, .log_fd = -1, .pipe_fd = -1 };

	parse(&watch, argc, argv);
	start(&watch, argv + optind);
	follow(&watch);
	if (watch.tracing_path)
		stop_tracing(&watch);
	if (is_done(&watch) && watch.ram_mapping_kib != 0)
		look_inside(&watch);
	end(&watch);
	if (!tell(&watch)) {
		fprintf(stderr, "boot-watch: not every mark was seen in %d s\n", watch.limit_s);
		return 1;
	}
	return 0;
}
