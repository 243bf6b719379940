// SPDX-License-Identifier: MIT
#include "lend/lent_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

struct lent_question {
	int fd; /* the thread's, until it has answered */
	int wake_fd;
	_Atomic bool is_answered;
	bool is_forgotten; /* by who asked */
};

/* With DONT_SYNC no file system asks anybody. FALSE: a kernel that does not say. */
static bool find_file_system(int fd, struct lent_file_system *where)
{
	struct statx status;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0)
		return false;
	*where = (struct lent_file_system){ status.stx_dev_major, status.stx_dev_minor, S_ISREG(status.stx_mode) };
	return true;
}

/* syscalls(memory): fcntl(F_GET_SEALS) statx */
bool lent_file_is_known(const struct lent_files *files, int fd)
{
	struct lent_file_system where;

	/* Memory is most of what is lent, and has seals. */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		return true;
	if (files->n_known == 0 || !find_file_system(fd, &where))
		return false;
	for (unsigned int i = 0; i < files->n_known; i++)
		if (files->known[i].major == where.major && files->known[i].minor == where.minor &&
		    files->known[i].regular == where.regular)
			return true;
	return false;
}

static bool is_good(int fd)
{
	static const long kinds[] = {
		TMPFS_MAGIC, GUEST_MEMFD_MAGIC, DMA_BUF_MAGIC, EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, RAMFS_MAGIC,
	};
	struct statfs kind;
	struct stat file;

	/* A device's file lies on such a file system, too; its pages do not. */
	if (fstatfs(fd, &kind) != 0 || fstat(fd, &file) != 0)
		return false;
	if (!S_ISREG(file.st_mode) && kind.f_type != GUEST_MEMFD_MAGIC && kind.f_type != DMA_BUF_MAGIC)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kind.f_type == kinds[i])
			return true;
	return false;
}

static void drop(struct lent_files *files, struct lent_question *question)
{
	if (question->fd >= 0)
		close(question->fd);
	for (unsigned int i = 0; i < LENT_FILES_ASKED; i++)
		if (files->asked[i] == question)
			files->asked[i] = NULL;
	free(question);
}

/* syscalls(memory): fstatfs fstat newfstatat close write exit madvise */
static void *ask(void *opaque)
{
	struct lent_question *question = opaque;
	const uint64_t one = 1;
	/* Behind the answer the question may be gone at any moment. */
	int wake_fd = question->wake_fd;

	if (!is_good(question->fd)) {
		close(question->fd);
		question->fd = -1;
	}
	atomic_store(&question->is_answered, true);
	if (wake_fd >= 0) {
		ssize_t written = write(wake_fd, &one, sizeof(one));

		(void)written;
		close(wake_fd);
	}
	return NULL;
}

/* syscalls(memory): clone(THREAD_FLAGS) clone3=ENOSYS set_robust_list rseq rt_sigprocmask mmap(~PROT_EXEC) mprotect(~PROT_EXEC) munmap */
static bool start(struct lent_question *question)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	bool started = pthread_create(&thread, &attributes, ask, question) == 0;
	pthread_attr_destroy(&attributes);
	return started;
}

static struct lent_question **free_place(struct lent_files *files)
{
	for (unsigned int i = 0; i < LENT_FILES_ASKED; i++) {
		struct lent_question *question = files->asked[i];

		if (question && question->is_forgotten && atomic_load(&question->is_answered))
			drop(files, question);
		if (!files->asked[i])
			return &files->asked[i];
	}
	return NULL;
}

/* syscalls(memory): fcntl(F_DUPFD_CLOEXEC) */
struct lent_question *lent_file_ask(struct lent_files *files, int fd, int wake_fd)
{
	struct lent_question **place = free_place(files), *question = place ? malloc(sizeof(*question)) : NULL;

	if (!question)
		return NULL;
	*question = (struct lent_question){ .fd = fd, .wake_fd = wake_fd < 0 ? -1 : fcntl(wake_fd, F_DUPFD_CLOEXEC, 0) };
	if (!start(question)) {
		if (question->wake_fd >= 0)
			close(question->wake_fd);
		free(question);
		return NULL;
	}
	*place = question;
	return question;
}

bool lent_file_answered(struct lent_files *files, struct lent_question *question, int *fd)
{
	if (!atomic_load(&question->is_answered))
		return false;
	*fd = question->fd;
	question->fd = -1;
	drop(files, question);
	if (*fd >= 0 && files->n_known < LENT_FILES_KNOWN && !lent_file_is_known(files, *fd) &&
	    find_file_system(*fd, &files->known[files->n_known]))
		files->n_known++;
	return true;
}

void lent_file_forget(struct lent_question *question)
{
	question->is_forgotten = true;
}

void lent_file_discard(struct lent_files *files, int fd)
{
	if (fd < 0)
		return;
	if (lent_file_is_known(files, fd)) {
		close(fd);
		return;
	}
	struct lent_question *question = lent_file_ask(files, fd, -1);
	if (question)
		lent_file_forget(question);
}

void lent_files_fini(struct lent_files *files)
{
	for (unsigned int i = 0; i < LENT_FILES_ASKED; i++)
		if (files->asked[i] && atomic_load(&files->asked[i]->is_answered))
			drop(files, files->asked[i]);
}
