// SPDX-License-Identifier: MIT
/*
 * libdom1-lend: lends memory to a guest that dom1 runs, and takes it back.
 *
 * A window is a range of the guest's addresses, made when the domain is started (dom1 run --lend-window). Memory belongs to
 * a file (memfd, guest_memfd, dma-buf, tmpfs, ext4, xfs, btrfs): lending shows a range of it in a window, revoking takes it
 * from there, at once and whatever the guest does. The file's contents stay with the lender in either case.
 *
 * A guest that uses a page that is not there waits, one vCPU of it: the lender gets a fault, and answers it by a page, or by
 * saying that there is none. A vCPU may wait for ever.
 *
 * A process needs nothing but the socket: lend.sock in the domain's folder, or a descriptor of a connection to it that
 * somebody handed over. When the connection ends, all that was lent by it is revoked, and its windows are free.
 *
 * Results: 0 or more, or a negative errno. Offsets and lengths are in bytes and multiples of LEND_PAGE_BYTES.
 * Threads: any number may use one struct lend; requests take turns. lend_close() when nobody uses it any more.
 * Link with -ldom1-lend (pkg-config dom1-lend). The manual is dom1-lend(3).
 */
#ifndef DOM1_LEND_H
#define DOM1_LEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LEND_PAGE_BYTES 4096u
#define LEND_WINDOW_ANY UINT32_MAX

struct lend;

/* What a guest gets where its lender has nothing for it. */
enum lend_action {
	LEND_ACTION_DEFAULT, /* in an answer: what was said when the window was claimed; there: what --lend-window says */
	LEND_ACTION_ZERO,    /* a page of zeros, the borrower's own memory */
	LEND_ACTION_FAULT,   /* a machine check, where the host and the guest can do it */
	LEND_ACTION_STOP,    /* the end of the domain */
	LEND_ACTIONS,
};

/*
 * Connects. -ECONNREFUSED or -ENOENT: no domain there, or one without windows; -EPROTONOSUPPORT: another protocol.
 * lend_from_fd() takes the descriptor over if it succeeds.
 */
int lend_open(const char *path, struct lend **lend);
int lend_from_fd(int fd, struct lend **lend);
/* Revokes everything. NULL is fine. */
void lend_close(struct lend *lend);

/* Readable when there may be a fault, or the domain's end. To be polled, and not to be read. */
int lend_fd(const struct lend *lend);

/* The address of a window that the guest does not see now: a PCI device's, whose memory it has turned off. */
#define LEND_NOWHERE UINT64_MAX

struct lend_claimed {
	uint32_t window;
	uint64_t gpa; /* of its first byte now, or LEND_NOWHERE */
	uint64_t len_bytes;
	uint64_t seq; /* of the last revoke in it */
};

/*
 * Makes a window this connection's, and no other's. window: its number from 0, or LEND_WINDOW_ANY. timeout_ms: after which
 * a fault that has no answer counts as failed; 0: never. -ENOENT, -EBUSY, -EOPNOTSUPP: no machine checks here.
 */
int lend_claim(struct lend *lend, uint32_t window, enum lend_action on_fail, uint32_t timeout_ms,
	       struct lend_claimed *claimed);
/* Revokes all of it, and gives it up. */
int lend_release(struct lend *lend, uint32_t window);

#define LEND_WRITABLE 1u /* else the guest may only read: a write is a fault, with LEND_FAULT_WRITE */

/*
 * Shows len_bytes of the file from fd_offset_bytes on. The descriptor may be closed afterwards. Whoever waited for these
 * pages goes on. -EEXIST: something is lent there; -ENOSPC: too many pieces; -EOPNOTSUPP: not such a file; -EAGAIN: between
 * lend_revoke_begin() and _end().
 */
int lend_map(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, int fd,
	     uint64_t fd_offset_bytes, unsigned int flags);
/* The same, but -ESTALE when the window has seen a revoke after number seq: what is shown was chosen before that. */
int lend_map_if(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, int fd,
		uint64_t fd_offset_bytes, unsigned int flags, uint64_t seq);

struct lend_part {
	uint64_t offset_bytes, len_bytes;
};

/*
 * Takes a range back, whether anything is lent there or not. When it returns 0, nobody reaches the file's pages through the
 * window: no instruction of the guest, no part of dom1. It does not fail for want of anything. *seq, if not NULL: its
 * number. 1 in place of 0: more was taken back than was asked for, all of the window.
 * -ENOTCONN: the connection has ended, and with it everything was taken back. -EBUSY, and nothing was done: all of the guest's RAM is
 * lent (dom1 run --memory-lent), and a vCPU's next instruction needs one of these pages.
 */
int lend_revoke(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, uint64_t *seq);
/* At most 64 of one window. -EINVAL: one is not in the window, and nothing was done. */
int lend_revoke_parts(struct lend *lend, uint32_t window, const struct lend_part *parts, size_t n_parts, uint64_t *seq);

/*
 * A revoke around something that takes long. From begin, which returns as lend_revoke() does, to end nothing is lent in the
 * window, and no faults come from it: who uses an absent page waits for the end. One at a time for each window.
 */
int lend_revoke_begin(struct lend *lend, uint32_t window, uint64_t offset_bytes, uint64_t len_bytes, uint64_t *seq);
int lend_revoke_end(struct lend *lend, uint32_t window);

#define LEND_FAULT_WRITE 1u /* lent to be read only, and most likely written to */
#define LEND_FAULT_LOST  2u /* what was lent could not be used: has its file become shorter? */

struct lend_fault {
	uint64_t id;
	uint64_t seq;
	uint32_t window;
	uint32_t flags;
	uint64_t offset_bytes, len_bytes; /* in the window: one page */
	uint32_t vcpus; /* bit n: vCPU n waited when it was sent */
};

/*
 * Pull: waits for the next fault. timeout_ms: -1 for ever, 0 not at all. 0: there is one; -ETIMEDOUT; -ENOTCONN: the domain
 * has ended. A fault that a revoke made void is not reported; it comes again, with another id.
 */
int lend_next_fault(struct lend *lend, struct lend_fault *fault, int timeout_ms);
/* Push: a thread of the library calls fn for each fault, until lend_close(). Once, and then lend_next_fault() is not used. */
int lend_start_handler(struct lend *lend, void (*fn)(void *opaque, const struct lend_fault *fault), void *opaque);

/*
 * The answer to a fault: len_bytes of the file, of which the first page is the one that is missing; what follows must not be
 * lent. -ESTALE: it was revoked meanwhile, or answered by something else; if it is still wanted, there is a new fault.
 */
int lend_supply(struct lend *lend, const struct lend_fault *fault, uint64_t len_bytes, int fd, uint64_t fd_offset_bytes,
		unsigned int flags);
/* There is no page. */
int lend_fail(struct lend *lend, const struct lend_fault *fault, enum lend_action action);

#define LEND_MAX_BRIDGES 64u

/*
 * The lender's own view of what it lends, as a page table is to an MMU: the page at address + n is shown at offset_bytes + n
 * of the window. From now on the bridge makes revokes of what this process does to that range by munmap(), mmap() over it,
 * mremap(), madvise() with MADV_DONTNEED, MADV_FREE or MADV_REMOVE: before the call goes on, at the latest before it returns,
 * nobody reaches the bridge's part of the window. All of it, not only the pages of the call: what is still wanted is a fault
 * again. Smaller steps need more bridges. Bridges lend nothing.
 *
 * What is done to the file, and not to this range, is no business of a bridge: after ftruncate() or fallocate() the guest's
 * view has changed when the call returns, but a page that is beyond the end is told only at its next use (LEND_FAULT_LOST),
 * and a hole is zeros. Revoke before.
 *
 * A thread of the library waits for the kernel's events; it needs no privilege. Its number, from 0; -EOPNOTSUPP: Linux
 * before 6.7; -EINVAL: nothing is mapped there, or a device's memory, such as a dma-buf's; -EBUSY: a userfaultfd has the range, or
 * a bridge; -ENOSPC: too many.
 */
int lend_bridge_add(struct lend *lend, void *address, uint64_t len_bytes, uint32_t window, uint64_t offset_bytes);
/* The range is not watched any more. -ENOENT: there is none; one ends by itself when all of its range is unmapped or moved. */
int lend_bridge_remove(struct lend *lend, int number);

struct lend_state {
	uint32_t window;
	bool claimed;
	enum lend_action on_fail;
	uint64_t gpa, len_bytes, seq;
	uint64_t lent_pages, zero_pages;
	uint64_t mappings; /* of the kernel's, at most */
	uint64_t waiting;  /* vCPUs, now */
	/* Since the domain's start. */
	uint64_t lends, supplies, stale, revokes, revoked_pages, widened, faults, zeros, machine_checks, timeouts, traps, emulated;
	/* Accesses of which KVM did not say the place: the page was not armed. Of all windows. traps: those of which it did. */
	uint64_t unknown;
	/* From the arrival of a request to its reply; and as much of it as was spent in system calls on mappings. */
	uint64_t last_revoke_ns, last_revoke_kernel_ns, slowest_revoke_ns, slowest_revoke_kernel_ns;
	uint64_t slowest_revoke_pages; /* how many it was asked for */
};

/* Of any window, also of another lender's. -ENOENT: there are not so many. */
int lend_query(struct lend *lend, uint32_t window, struct lend_state *state);

/* What memory is made of. */
enum lend_memory {
	LEND_MEMORY_ANY,         /* guest_memfd where there is one, else memfd */
	LEND_MEMORY_MEMFD,
	LEND_MEMORY_GUEST_MEMFD, /* needs /dev/kvm: never swapped, never shorter than it was made */
};

/* A new file of zeros to lend from; a descriptor to be closed, or -EOPNOTSUPP: no guest_memfd that can be mapped. */
int lend_memory_new(enum lend_memory kind, uint64_t len_bytes);

#ifdef __cplusplus
}
#endif
#endif
