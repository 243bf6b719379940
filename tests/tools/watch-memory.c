// SPDX-License-Identifier: MIT
/*
 * Watches what domains take of the host's memory besides the guest's own.
 *
 *   watch-memory NAME=VALUE RESULT
 *
 * Looks again and again at all processes "dom1-machine" that have NAME=VALUE in their environment, with their launchers, until
 * SIGTERM. Then RESULT has a line for each, "PID KIB MACHINE_KIB": the most that was seen of both together, and what was the
 * machine's of that.
 *
 * What counts is Private_Dirty. The guest's RAM is known by VmFlags: "dd", which guest_memory.c asks for and nothing else
 * of dom1's. What a lender shows or a granted page is are shared mappings of a file that is the lender's or the guest's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_DOMAINS 4096
/* Watching takes at most one part in so many of a CPU, and looks that often at most. */
#define SHARE     30
#define PERIOD_NS INT64_C(100000000)

struct seen {
	int pid;
	long total_kib, machine_kib;
};

static struct seen domains[MAX_DOMAINS];
static size_t n_domains;
static volatile sig_atomic_t is_over;

static void end(int signal)
{
	(void)signal;
	is_over = 1;
}

/* Up to size - 1 bytes of /proc/PID/NAME, or -1. */
static ssize_t read_proc(int pid, const char *name, char *bytes, size_t size)
{
	char path[64];
	ssize_t got = 0, sum = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	while ((size_t)sum < size - 1 && (got = read(fd, bytes + sum, size - 1 - (size_t)sum)) > 0)
		sum += got;
	close(fd);
	bytes[sum] = '\0';
	return got < 0 ? -1 : sum;
}

static bool has_mark(int pid, const char *mark)
{
	static char environment[1 << 17];
	ssize_t size = read_proc(pid, "environ", environment, sizeof(environment));

	for (ssize_t at = 0; at < size; at += (ssize_t)strlen(environment + at) + 1)
		if (strcmp(environment + at, mark) == 0)
			return true;
	return false;
}

static int parent_of(int pid)
{
	char text[512];
	const char *name_end;
	int parent;

	if (read_proc(pid, "stat", text, sizeof(text)) <= 0)
		return 0;
	name_end = strrchr(text, ')');
	return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

/* Whether a line is the head of a mapping, "START-END RIGHTS OFFSET DEVICE INODE [NAME]"; then whether it is shared, of a file
 * that is not dom1's. */
static bool is_head(const char *line, bool *is_of_others)
{
	unsigned long start, end;
	char rights[8];
	int name_at = 0;

	if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %n", &start, &end, rights, &name_at) != 3)
		return false;
	*is_of_others = rights[3] == 's' && name_at > 0 && line[name_at] == '/' && !strstr(line + name_at, "/memfd:dom1-hypervisor-pages") &&
			strncmp(line + name_at, "/dev/zero", strlen("/dev/zero")) != 0;
	return true;
}

/* KiB of its own, or -1: it has ended. */
static long private_kib(int pid)
{
	char path[64], line[512];
	long sum = 0, dirty = 0, kib;
	bool is_of_others = false, is_guests;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Private_Dirty: %ld", &kib) == 1) {
			dirty = kib;
		} else if (strncmp(line, "VmFlags:", strlen("VmFlags:")) == 0) {
			is_guests = strstr(line, " dd") != NULL;
			sum += is_guests || is_of_others ? 0 : dirty;
		} else {
			(void)is_head(line, &is_of_others);
		}
	}
	fclose(file);
	return sum;
}

static void note(int pid, long machine_kib, long launcher_kib)
{
	size_t i = 0;

	while (i < n_domains && domains[i].pid != pid)
		i++;
	if (i == MAX_DOMAINS)
		return;
	if (i == n_domains)
		domains[n_domains++] = (struct seen){ .pid = pid };
	if (machine_kib + launcher_kib > domains[i].total_kib) {
		domains[i].total_kib = machine_kib + launcher_kib;
		domains[i].machine_kib = machine_kib;
	}
}

static void look(const char *mark)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char name[32];

	while (dir && (entry = readdir(dir))) {
		int pid = atoi(entry->d_name);

		if (pid <= 1 || read_proc(pid, "comm", name, sizeof(name)) < 0 || strcmp(name, "dom1-machine\n") != 0 || !has_mark(pid, mark))
			continue;
		const int launcher = parent_of(pid);
		const long machine_kib = private_kib(pid);
		/* A machine whose launcher was killed is somebody else's child; that one's memory is not ours. */
		const bool has_launcher = read_proc(launcher, "comm", name, sizeof(name)) > 0 && strcmp(name, "dom1\n") == 0;
		const long launcher_kib = has_launcher ? private_kib(launcher) : 0;

		if (machine_kib >= 0)
			note(pid, machine_kib, launcher_kib > 0 ? launcher_kib : 0);
	}
	if (dir)
		closedir(dir);
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: watch-memory NAME=VALUE RESULT\n");
		return 2;
	}
	struct sigaction action = { .sa_handler = end };
	sigaction(SIGTERM, &action, NULL);
	while (!is_over) {
		const int64_t began_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		look(argv[1]);
		const int64_t used_ns = (now_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns) * SHARE;
		const int64_t pause_ns = used_ns > PERIOD_NS ? used_ns : PERIOD_NS;
		const struct timespec pause = { .tv_sec = pause_ns / 1000000000, .tv_nsec = pause_ns % 1000000000 };
		nanosleep(&pause, NULL);
	}
	FILE *file = fopen(argv[2], "we");
	if (!file) {
		fprintf(stderr, "watch-memory: %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < n_domains; i++)
		fprintf(file, "%d %ld %ld\n", domains[i].pid, domains[i].total_kib, domains[i].machine_kib);
	return fclose(file) == 0 ? 0 : 1;
}
