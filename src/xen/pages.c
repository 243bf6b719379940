// SPDX-License-Identifier: MIT
#include "xen/pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/error.h"
#include "vmm/guest_memory.h"

static unsigned int status_frames_of(unsigned int n_grant_frames)
{
	return (n_grant_frames + PAGES_MAX_STATUS_FRAMES - 1) / PAGES_MAX_STATUS_FRAMES;
}

static unsigned int n_status_frames(const struct pages *pages)
{
	return status_frames_of(pages->n_grant_frames);
}

unsigned int pages_number(unsigned int n_grant_frames)
{
	return 1 + n_grant_frames + status_frames_of(n_grant_frames);
}

static unsigned int n_pages(const struct pages *pages)
{
	return pages_number(pages->n_grant_frames);
}

static size_t pages_bytes(const struct pages *pages)
{
	return n_pages(pages) * LAYOUT_PAGE_BYTES;
}

/* syscalls(main): memfd_create ftruncate mmap(~PROT_EXEC) */
gboolean pages_init(struct pages *pages, unsigned int n_grant_frames, GError **error)
{
	g_assert(n_grant_frames <= PAGES_MAX_GRANT_FRAMES);
	*pages = (struct pages){ .memfd = -1, .n_grant_frames = n_grant_frames };
	for (unsigned int i = 0; i < PAGES_MAX; i++)
		pages->gfn[i] = PAGES_NOWHERE;

	pages->memfd = memfd_create("dom1-hypervisor-pages", MFD_CLOEXEC);
	if (pages->memfd >= 0 && ftruncate(pages->memfd, (off_t)pages_bytes(pages)) == 0) {
		void *hva = mmap(NULL, pages_bytes(pages), PROT_READ | PROT_WRITE, MAP_SHARED, pages->memfd, 0);

		if (hva != MAP_FAILED) {
			pages->hva = hva;
			return TRUE;
		}
	}
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot allocate shared_info and grant frames: %s", g_strerror(errno));
	pages_fini(pages);
	return FALSE;
}

/* syscalls(main): munmap close */
void pages_fini(struct pages *pages)
{
	if (pages->hva)
		munmap(pages->hva, pages_bytes(pages));
	if (pages->memfd >= 0)
		close(pages->memfd);
	pages->hva = NULL;
	pages->memfd = -1;
}

void *pages_shared_info(const struct pages *pages)
{
	return pages->hva;
}

void *pages_grant_frames(const struct pages *pages)
{
	return pages->hva + LAYOUT_PAGE_BYTES;
}

void *pages_status_frames(const struct pages *pages)
{
	return pages->hva + (1 + pages->n_grant_frames) * LAYOUT_PAGE_BYTES;
}

uint64_t pages_grant_frame_gfn(const struct pages *pages, unsigned int frame)
{
	return frame < pages->n_grant_frames ? pages->gfn[1 + frame] : PAGES_NOWHERE;
}

static int place(struct pages *pages, struct guest_memory *memory, unsigned int page, uint64_t gfn)
{
	if (gfn == PAGES_NOWHERE)
		return EINVAL;
	if (pages->gfn[page] == gfn)
		return 0;
	/* Another page of ours lay there: it is shown nowhere now. */
	for (unsigned int i = 0; i < n_pages(pages); i++)
		if (pages->gfn[i] == gfn)
			pages->gfn[i] = PAGES_NOWHERE;

	int rc = guest_memory_overlay(memory, gfn, pages->memfd, page * LAYOUT_PAGE_BYTES);
	if (rc != 0)
		return rc;
	uint64_t old_gfn = pages->gfn[page];
	pages->gfn[page] = gfn;
	return old_gfn == PAGES_NOWHERE ? 0 : guest_memory_overlay_remove(memory, old_gfn);
}

int pages_show(struct pages *pages, struct guest_memory *memory, unsigned int page, uint64_t gfn)
{
	if (page >= n_pages(pages))
		return EINVAL;
	return page >= 1 && page <= pages->n_grant_frames ? pages_place_grant_frame(pages, memory, page - 1, gfn) :
							    place(pages, memory, page, gfn);
}

int pages_place_shared_info(struct pages *pages, struct guest_memory *memory, uint64_t gfn)
{
	return place(pages, memory, 0, gfn);
}

int pages_place_grant_frame(struct pages *pages, struct guest_memory *memory, unsigned int frame, uint64_t gfn)
{
	if (frame >= pages->n_grant_frames)
		return EINVAL;

	int rc = place(pages, memory, 1 + frame, gfn);
	if (rc == 0)
		pages->used_grant_frames = MAX(pages->used_grant_frames, frame + 1);
	return rc;
}

int pages_place_status_frame(struct pages *pages, struct guest_memory *memory, unsigned int frame, uint64_t gfn)
{
	return frame < n_status_frames(pages) ? place(pages, memory, 1 + pages->n_grant_frames + frame, gfn) : EINVAL;
}

void *pages_at(const struct pages *pages, uint64_t gfn)
{
	for (unsigned int i = 0; gfn != PAGES_NOWHERE && i < n_pages(pages); i++)
		if (pages->gfn[i] == gfn)
			return pages->hva + i * LAYOUT_PAGE_BYTES;
	return NULL;
}

void pages_reset(struct pages *pages, struct guest_memory *memory)
{
	for (unsigned int i = 0; i < n_pages(pages); i++) {
		if (pages->gfn[i] != PAGES_NOWHERE)
			(void)guest_memory_overlay_remove(memory, pages->gfn[i]);
		pages->gfn[i] = PAGES_NOWHERE;
	}
	pages->used_grant_frames = 0;
	memset(pages->hva, 0, pages_bytes(pages));
}

int pages_remove(struct pages *pages, struct guest_memory *memory, uint64_t gfn)
{
	for (unsigned int i = 0; gfn != PAGES_NOWHERE && i < n_pages(pages); i++) {
		if (pages->gfn[i] != gfn)
			continue;
		pages->gfn[i] = PAGES_NOWHERE;
		return guest_memory_overlay_remove(memory, gfn);
	}
	return ENOENT;
}
