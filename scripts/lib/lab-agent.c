/*
 * The lab's agent: the last stage of init inside the lab. It waits for an order from scripts/lab,
 * runs one command in the prepared root and carries its streams over virtio-serial ports.
 *
 *   lab-agent CONTROL STDIN STDOUT STDERR FILES
 *
 * names the ports. Until the order comes only CONTROL is open, so that the machine's state can be
 * saved at that point and be continued under another scripts/lab.
 *
 * Order:  "LENGTH\n", then LENGTH bytes of fields, each ended by a NUL (enum field).
 * Answers, each a line on CONTROL: "ready", "started", "status N", "timeout", "failed TEXT".
 *
 * A port's device can be open only once, so COMMAND gets pipes or a pty: opening /dev/stdout works.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <linux/random.h>

#define NEW_ROOT "/root"
#define LAB_OUT "/run/lab-out"

enum field {
    FIELD_TIME_S,    /* the host's clock: a saved state has an old one */
    FIELD_SEED,      /* for the random pool: a saved state always has the same */
    FIELD_TIMEOUT_S, /* 0: none */
    FIELD_TERMINAL,  /* "ROWS COLUMNS", or empty for pipes */
    FIELD_FILES,     /* not empty: send $LAB_OUT as a tar archive on FILES */
    FIELD_FOLDER,    /* working directory */
    FIELD_PATH,
    FIELD_TERM,
    FIELD_COMMAND,   /* and all after it: arguments */
};

/* One direction of one stream. Bytes wait in data[start, end). */
struct relay {
    int from, to;
    bool to_port;    /* ports are never closed before the end */
    size_t start, end;
    char data[32768];
};

static int control = -1;

__attribute__((format(printf, 1, 2))) static void answer(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    if (len >= (int) sizeof line - 1) {
        len = sizeof line - 2;
    }
    line[len++] = '\n';
    if (write(control, line, len) != len) {
        perror("lab-agent: control port");
    }
}

/* Init must not exit: the kernel would panic. The host ends the machine. */
_Noreturn static void stay(void)
{
    for (;;) {
        pause();
    }
}

_Noreturn static void fail(const char *what)
{
    answer("failed %s: %s", what, strerror(errno));
    stay();
}

/* A port reads as ended while the host has not opened its side. */
static void read_control(char *to, size_t len)
{
    while (len > 0) {
        ssize_t got = read(control, to, len);
        if (got > 0) {
            to += got;
            len -= got;
        } else if (got == 0) {
            usleep(10000);
        } else if (errno != EINTR) {
            fail("reading the order");
        }
    }
}

static char **read_order(void)
{
    char digits[16];
    size_t used = 0;
    do {
        if (used == sizeof digits) {
            errno = EINVAL;
            fail("length of the order");
        }
        read_control(&digits[used], 1);
    } while (digits[used++] != '\n');

    size_t len = strtoul(digits, NULL, 10), count = 0;
    char *text = malloc(len + 1), **fields = calloc(len + 1, sizeof *fields);
    if (!text || !fields) {
        fail("memory for the order");
    }
    read_control(text, len);
    text[len] = '\0';
    for (char *at = text; at < text + len; at += strlen(at) + 1) {
        fields[count++] = at;
    }
    if (count <= FIELD_COMMAND) {
        errno = EINVAL;
        fail("fields of the order");
    }
    return fields;
}

static void refresh_clock_and_random(const char *now, const char *seed)
{
    struct timespec ts = { .tv_sec = strtol(now, NULL, 10) };
    const char *fraction = strchr(now, '.');
    if (fraction) {
        ts.tv_nsec = strtol(fraction + 1, NULL, 10);
    }
    if (clock_settime(CLOCK_REALTIME, &ts) < 0) {
        fail("setting the clock");
    }
    struct {
        struct rand_pool_info info;
        char bytes[64];
    } pool = { 0 };
    size_t len = strnlen(seed, sizeof pool.bytes);
    pool.info.entropy_count = (int) len * 4;
    pool.info.buf_size = (int) len;
    memcpy(pool.info.buf, seed, len);
    int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0) {
        fail("seeding the random pool");
    }
    close(fd);
}

static int open_port(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        fail(path);
    }
    return fd;
}

/* A helper script of the initramfs: true if it succeeded. */
static bool run_script(const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(path, path, (char *) NULL);
        _exit(127);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return false;
        }
    }
    return status == 0;
}

/* As switch_root does: in a plain chroot nobody could make a user namespace. */
static void enter_root(void)
{
    if (chdir(NEW_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0) {
        fail("entering the root");
    }
}

_Noreturn static void run_command(char **fields, const int std[3], int terminal)
{
    setsid();
    if (terminal >= 0) {
        ioctl(terminal, TIOCSCTTY, 0);
    }
    for (int fd = 0; fd < 3; fd++) {
        dup2(terminal >= 0 ? terminal : std[fd], fd);
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);

    clearenv();
    setenv("PATH", fields[FIELD_PATH], 1);
    setenv("TERM", fields[FIELD_TERM], 1);
    setenv("HOME", "/tmp", 1);
    setenv("USER", "root", 1);
    setenv("LANG", "C.UTF-8", 1);
    setenv("LAB_OUT", LAB_OUT, 1);
    if (chdir(fields[FIELD_FOLDER]) < 0) {
        dprintf(2, "lab: %s: %s\n", fields[FIELD_FOLDER], strerror(errno));
        _exit(125);
    }
    setenv("PWD", fields[FIELD_FOLDER], 1);
    execvp(fields[FIELD_COMMAND], &fields[FIELD_COMMAND]);
    int status = errno == ENOENT ? 127 : 126;
    dprintf(2, "lab: %s: %s\n", fields[FIELD_COMMAND], strerror(errno));
    _exit(status);
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static bool is_again(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Moves what can be moved now. False when nothing moved. */
static bool relay_step(struct relay *relay)
{
    bool moved = false;
    if (relay->from >= 0 && relay->start == relay->end) {
        ssize_t got = read(relay->from, relay->data, sizeof relay->data);
        if (got > 0) {
            relay->start = 0;
            relay->end = got;
            moved = true;
        } else if (got == 0 || !is_again()) {
            close_end(&relay->from);   /* EIO is a pty's end */
        }
    }
    if (relay->to >= 0 && relay->start < relay->end) {
        ssize_t put = write(relay->to, relay->data + relay->start, relay->end - relay->start);
        if (put > 0) {
            relay->start += put;
            moved = true;
        } else if (put < 0 && !is_again()) {
            /* The reader is gone. Its writer hears of it by SIGPIPE, or by nobody reading stdin. */
            close_end(&relay->from);
            relay->start = relay->end;
        }
    }
    if (relay->from < 0 && relay->start == relay->end && !relay->to_port) {
        close_end(&relay->to);
    }
    return moved;
}

/* The events a relay waits for: input when empty, room when not. */
static int relay_poll(const struct relay *relay, struct pollfd *poll)
{
    bool empty = relay->start == relay->end;
    poll->fd = empty ? relay->from : relay->to;
    poll->events = empty ? POLLIN : POLLOUT;
    poll->revents = 0;
    return poll->fd >= 0;
}

/* The kernel says that there is room in a port when the host has taken all that was written. */
static void port_drain(int port)
{
    struct pollfd room = { .fd = port, .events = POLLOUT };
    while (poll(&room, 1, -1) < 0 && errno == EINTR) {
    }
}

static long long now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

/* Reaps; sets *status when the command itself has ended. */
static bool reap(pid_t command, int *status)
{
    int raw;
    pid_t pid;
    bool ended = false;
    while ((pid = waitpid(-1, &raw, WNOHANG)) > 0) {
        if (pid == command) {
            *status = WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
            ended = true;
        }
    }
    return ended;
}

/*
 * Relays until the command has ended; its status, or -1 on timeout. What it leaves running is not
 * waited for.
 */
static int carry(pid_t command, struct relay *relays, int count, long long timeout_ms, const sigset_t *unblocked)
{
    int status = -1;
    long long deadline = timeout_ms ? now_ms() + timeout_ms : 0;
    for (;;) {
        bool moved = false;
        for (int i = 0; i < count; i++) {
            moved |= relay_step(&relays[i]);
        }
        if (reap(command, &status)) {
            return status;
        }
        if (moved) {
            continue;
        }
        struct pollfd polls[4];
        nfds_t polled = 0;
        for (int i = 0; i < count; i++) {
            polled += relay_poll(&relays[i], &polls[polled]);
        }
        struct timespec wait = { 0 }, *limit = NULL;
        if (deadline) {
            long long left = deadline - now_ms();
            if (left <= 0) {
                kill(-1, SIGKILL);
                return -1;
            }
            wait.tv_sec = left / 1000;
            wait.tv_nsec = left % 1000 * 1000000;
            limit = &wait;
        }
        /* SIGCHLD is blocked but here: none can be missed. */
        ppoll(polls, polled, limit, unblocked);
    }
}

/*
 * After the command's end: what is in the pipes goes out, and is waited for until the host has it,
 * however slow the reader there is. Bounded, for a writer left behind that never stops.
 */
static void flush(struct relay *relays, int count)
{
    for (int i = 0; i < count; i++) {
        struct relay *relay = &relays[i];
        if (!relay->to_port) {
            continue;
        }
        int rounds = 64;
        do {
            port_drain(relay->to);
        } while (relay_step(relay) && rounds-- > 0);
        while (relay->start < relay->end) {
            port_drain(relay->to);
            relay_step(relay);
        }
        port_drain(relay->to);
    }
}

/* Closing a port throws away what the host has not taken: it stays open here. */
static void send_files(const char *port)
{
    int fd = open(port, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        fail(port);
    }
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fd, 1);
        execl("/usr/bin/busybox", "tar", "-c", "-C", LAB_OUT, ".", (char *) NULL);
        _exit(127);
    }
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    port_drain(fd);
    if (status != 0) {
        errno = EIO;
        fail("sending what is in LAB_OUT");
    }
}

static void on_child(int signal_number)
{
    (void) signal_number;
}

static void make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0) {
        fail("pipe");
    }
}

static void unblock_fd(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: lab-agent CONTROL STDIN STDOUT STDERR FILES\n");
        return 2;
    }
    /* SIGCHLD arrives only inside ppoll. */
    sigset_t child, unblocked;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &unblocked);
    sigaction(SIGCHLD, &(struct sigaction){ .sa_handler = on_child }, NULL);
    signal(SIGPIPE, SIG_IGN);

    control = open(argv[1], O_RDWR | O_CLOEXEC);
    if (control < 0) {
        perror(argv[1]);
        stay();
    }
    answer("ready");
    char **fields = read_order();

    refresh_clock_and_random(fields[FIELD_TIME_S], fields[FIELD_SEED]);
    if (!run_script("/lab-mount")) {
        errno = EIO;
        fail("mounting the payload (see the log)");
    }

    enter_root();

    static struct relay relays[3];
    int count = 0, terminal = -1, std[3] = { -1, -1, -1 };
    int port_in = open_port(argv[2], O_RDONLY), port_out = open_port(argv[3], O_WRONLY);
    int port_err = open_port(argv[4], O_WRONLY);
    if (fields[FIELD_TERMINAL][0]) {
        struct winsize size = { 0 };
        sscanf(fields[FIELD_TERMINAL], "%hu %hu", &size.ws_row, &size.ws_col);
        int master;
        if (openpty(&master, &terminal, NULL, NULL, &size) < 0) {
            fail("openpty");
        }
        fcntl(master, F_SETFD, FD_CLOEXEC);
        fcntl(terminal, F_SETFD, FD_CLOEXEC);
        unblock_fd(master);
        relays[count++] = (struct relay){ .from = port_in, .to = dup(master) };
        relays[count++] = (struct relay){ .from = master, .to = port_out, .to_port = true };
    } else {
        int in[2], out[2], err[2];
        make_pipe(in);
        make_pipe(out);
        make_pipe(err);
        unblock_fd(in[1]);
        unblock_fd(out[0]);
        unblock_fd(err[0]);
        relays[count++] = (struct relay){ .from = port_in, .to = in[1] };
        relays[count++] = (struct relay){ .from = out[0], .to = port_out, .to_port = true };
        relays[count++] = (struct relay){ .from = err[0], .to = port_err, .to_port = true };
        std[0] = in[0];
        std[1] = out[1];
        std[2] = err[1];
    }

    pid_t command = fork();
    if (command < 0) {
        fail("fork");
    }
    if (command == 0) {
        run_command(fields, std, terminal);
    }
    for (int fd = 0; fd < 3; fd++) {
        close_end(&std[fd]);
    }
    close_end(&terminal);
    answer("started");
    int status = carry(command, relays, count, strtod(fields[FIELD_TIMEOUT_S], NULL) * 1000, &unblocked);
    flush(relays, count);
    kill(-1, SIGKILL);
    if (fields[FIELD_FILES][0]) {
        send_files(argv[5]);
    }
    if (status < 0) {
        answer("timeout");
    } else {
        answer("status %d", status);
    }
    stay();
}
