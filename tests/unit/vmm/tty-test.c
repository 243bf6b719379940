// SPDX-License-Identifier: MIT
/* tty.c on a pseudo-terminal: raw while it lasts, and afterwards as it was. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#include "vmm/tty.h"

struct pty {
	int master_fd, slave_fd;
};

static struct pty pty_open(void)
{
	struct pty pty = {.master_fd = posix_openpt(O_RDWR | O_NOCTTY)};

	g_assert_cmpint(pty.master_fd, >=, 0);
	g_assert_cmpint(grantpt(pty.master_fd), ==, 0);
	g_assert_cmpint(unlockpt(pty.master_fd), ==, 0);
	pty.slave_fd = open(ptsname(pty.master_fd), O_RDWR | O_NOCTTY);
	g_assert_cmpint(pty.slave_fd, >=, 0);
	return pty;
}

static void pty_close(const struct pty *pty)
{
	close(pty->master_fd);
	close(pty->slave_fd);
}

static struct termios get_state(int fd)
{
	struct termios state;

	memset(&state, 0, sizeof(state));
	g_assert_cmpint(tcgetattr(fd, &state), ==, 0);
	return state;
}

static gboolean same_state(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag &&
	       a->c_lflag == b->c_lflag && memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc)) == 0;
}

/* What the slave's reader gets of what was typed; both ends agree that nothing is changed on the way. */
static void expect_every_byte(const struct pty *pty)
{
	for (unsigned int byte = 0; byte < 256; byte++) {
		guint8 typed = (guint8)byte, got = (guint8)~byte;

		g_assert_cmpint(write(pty->master_fd, &typed, 1), ==, 1);
		g_assert_cmpint(read(pty->slave_fd, &got, 1), ==, 1);
		g_assert_cmpuint(got, ==, typed);
		g_assert_cmpint(write(pty->slave_fd, &typed, 1), ==, 1);
		g_assert_cmpint(read(pty->master_fd, &got, 1), ==, 1); /* no echo came before it */
		g_assert_cmpuint(got, ==, typed);
	}
}

static void test_raw_and_back(void)
{
	struct pty pty = pty_open();
	struct termios before, raw, after;
	struct tty tty;

	for (unsigned int round = 0; round < 10; round++) {
		/* Any state a person may have. */
		before = get_state(pty.slave_fd);
		before.c_lflag ^= (tcflag_t)g_test_rand_int() & (ECHO | ICANON | ISIG | IEXTEN);
		before.c_iflag ^= (tcflag_t)g_test_rand_int() & (ICRNL | IXON | ISTRIP);
		before.c_oflag ^= (tcflag_t)g_test_rand_int() & (OPOST | ONLCR);
		before.c_cc[VINTR] = (cc_t)g_test_rand_int_range(1, 32);
		g_assert_cmpint(tcsetattr(pty.slave_fd, TCSANOW, &before), ==, 0);
		before = get_state(pty.slave_fd);

		memset(&tty, 0xa5, sizeof(tty));
		tty_enter_raw(&tty, pty.slave_fd);
		g_assert_cmpint(tty.fd, ==, pty.slave_fd);
		raw = get_state(pty.slave_fd);
		g_assert_cmpuint(raw.c_lflag & (ECHO | ICANON | ISIG | IEXTEN), ==, 0);
		g_assert_cmpuint(raw.c_iflag & (ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT | PARMRK), ==, 0);
		g_assert_cmpuint(raw.c_oflag & OPOST, ==, 0);
		g_assert_cmpuint(raw.c_cflag & CSIZE, ==, CS8);
		expect_every_byte(&pty);

		tty_restore(&tty);
		after = get_state(pty.slave_fd);
		g_assert_true(same_state(&before, &after));
		tty_restore(&tty); /* once more does no harm */
		after = get_state(pty.slave_fd);
		g_assert_true(same_state(&before, &after));
	}
	pty_close(&pty);
}

static void test_no_terminal(void)
{
	struct tty tty;
	int fds[2];

	g_assert_cmpint(pipe(fds), ==, 0);
	const int not_terminals[] = {fds[0], fds[1], -1, 1000000};
	for (size_t i = 0; i < G_N_ELEMENTS(not_terminals); i++) {
		memset(&tty, 0xa5, sizeof(tty));
		tty_enter_raw(&tty, not_terminals[i]);
		g_assert_cmpint(tty.fd, ==, -1);
		tty_restore(&tty);
	}
	close(fds[0]);
	close(fds[1]);
}

static void check_reopened(int fd, int open_flags)
{
	int flags_before = fcntl(fd, F_GETFL), reopened = tty_reopen_nonblocking(fd, open_flags);
	struct stat status, reopened_status;

	g_assert_cmpint(reopened, >=, 0);
	g_assert_cmpint(fstat(fd, &status), ==, 0);
	g_assert_cmpint(fstat(reopened, &reopened_status), ==, 0);
	g_assert_true(status.st_ino == reopened_status.st_ino && status.st_dev == reopened_status.st_dev);
	g_assert_true(fcntl(reopened, F_GETFL) & O_NONBLOCK);
	g_assert_cmpint(fcntl(reopened, F_GETFL) & O_ACCMODE, ==, open_flags);
	g_assert_true(fcntl(reopened, F_GETFD) & FD_CLOEXEC);
	/* The others who share fd notice nothing, which a flag set on fd itself would not spare them. */
	g_assert_cmpint(fcntl(fd, F_GETFL), ==, flags_before);
	g_assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(reopened);
}

static void test_reopen(void)
{
	struct pty pty = pty_open();
	int fds[2], sockets[2];

	check_reopened(pty.slave_fd, O_RDONLY);
	check_reopened(pty.slave_fd, O_WRONLY);
	check_reopened(pty.slave_fd, O_RDWR);
	pty_close(&pty);

	g_assert_cmpint(pipe(fds), ==, 0);
	check_reopened(fds[0], O_RDONLY);
	check_reopened(fds[1], O_WRONLY);
	close(fds[0]);
	close(fds[1]);

	g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), ==, 0);
	g_assert_cmpint(tty_reopen_nonblocking(sockets[0], O_RDWR), ==, -1);
	g_assert_cmpint(errno, ==, ENXIO);
	g_assert_false(fcntl(sockets[0], F_GETFL) & O_NONBLOCK);
	close(sockets[0]);
	close(sockets[1]);
	g_assert_cmpint(tty_reopen_nonblocking(-1, O_RDWR), ==, -1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tty/raw-and-back", test_raw_and_back);
	g_test_add_func("/tty/no-terminal", test_no_terminal);
	g_test_add_func("/tty/reopen", test_reopen);
	return g_test_run();
}
