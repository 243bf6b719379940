// SPDX-License-Identifier: MIT
/* grant.c on plain memory: what is marked for the guest, what is refused, and that every acquire can be undone. */
#include <string.h>

#include <glib.h>

#include "xen/grant.h"

#define N_FRAMES 4u
#define PAGE     4096u
#define PEER     0u

struct fixture {
	struct grant_table table;
	grant_entry_v1_t *v1;
	grant_entry_v2_t *v2;
	uint16_t *status;
};

static void set_up(struct fixture *f, unsigned int version)
{
	void *shared = g_malloc0(N_FRAMES * PAGE);

	f->status = g_malloc0(GRANT_STATUS_FRAMES(N_FRAMES) * PAGE);
	g_assert_true(grant_table_init(&f->table, shared, f->status, N_FRAMES, 2));
	f->v1 = shared;
	f->v2 = shared;
	g_assert_cmpint(grant_table_set_version(&f->table, version), ==, 0);
}

static void tear_down(struct fixture *f)
{
	grant_table_fini(&f->table);
	g_free(f->v1);
	g_free(f->status);
}

static void grant(struct fixture *f, uint32_t ref, uint16_t domid, uint16_t flags, uint64_t gfn)
{
	if (f->table.version == 1)
		f->v1[ref] = (grant_entry_v1_t){ .flags = flags, .domid = domid, .frame = (uint32_t)gfn };
	else
		f->v2[ref] = (grant_entry_v2_t){ .full_page = { .hdr = { flags, domid }, .frame = gfn } };
}

static unsigned int marks(const struct fixture *f, uint32_t ref)
{
	return (f->table.version == 1 ? f->v1[ref].flags : f->status[ref]) & (GTF_reading | GTF_writing);
}

static void test_marks(gconstpointer version)
{
	struct fixture f;
	struct grant_page page;

	set_up(&f, GPOINTER_TO_UINT(version));
	grant(&f, 9, PEER, GTF_permit_access, 77);
	g_assert_cmpint(grant_acquire(&f.table, 9, PEER, true, true, &page), ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, 77);
	g_assert_cmpuint(page.len_bytes, ==, PAGE);
	g_assert_cmpuint(marks(&f, 9), ==, GTF_reading);
	g_assert_cmpint(grant_acquire(&f.table, 9, PEER, false, true, &page), ==, GNTST_okay);
	g_assert_cmpuint(marks(&f, 9), ==, (GTF_reading | GTF_writing));
	/* While in use, what was read first holds. */
	if (f.table.version == 1)
		f.v1[9].frame = 5;
	else
		f.v2[9].full_page.frame = 5;
	g_assert_cmpint(grant_acquire(&f.table, 9, PEER, true, true, &page), ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, 77);
	grant_release(&f.table, 9, true);
	grant_release(&f.table, 9, false);
	g_assert_cmpuint(marks(&f, 9), ==, GTF_reading);
	grant_release(&f.table, 9, true);
	g_assert_cmpuint(marks(&f, 9), ==, 0);
	g_assert_cmpint(grant_acquire(&f.table, 9, PEER, true, true, &page), ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, 5);
	grant_release(&f.table, 9, true);
	tear_down(&f);
}

static void test_refusals(gconstpointer version)
{
	struct fixture f;
	struct grant_page page;

	set_up(&f, GPOINTER_TO_UINT(version));
	g_assert_cmpint(grant_acquire(&f.table, grant_table_entries(&f.table), PEER, true, true, &page), ==, GNTST_bad_gntref);
	g_assert_cmpint(grant_acquire(&f.table, UINT32_MAX, PEER, true, true, &page), ==, GNTST_bad_gntref);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, true, true, &page), ==, GNTST_general_error);
	grant(&f, 8, 1, GTF_permit_access, 1);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, true, true, &page), ==, GNTST_general_error);
	grant(&f, 8, PEER, GTF_accept_transfer, 1);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, true, true, &page), ==, GNTST_general_error);
	grant(&f, 8, PEER, GTF_transitive, 1);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, true, false, &page), ==, GNTST_general_error);
	grant(&f, 8, PEER, GTF_permit_access | GTF_readonly, 1);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, false, true, &page), ==, GNTST_general_error);
	g_assert_cmpuint(marks(&f, 8), ==, 0);
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, true, true, &page), ==, GNTST_okay);
	/* Read-only stays so while it is read, and nobody else gets in. */
	g_assert_cmpint(grant_acquire(&f.table, 8, PEER, false, true, &page), ==, GNTST_general_error);
	g_assert_cmpuint(marks(&f, 8), ==, GTF_reading);
	g_assert_cmpint(grant_acquire(&f.table, 8, 1, true, true, &page), ==, GNTST_general_error);
	grant_release(&f.table, 8, true);
	tear_down(&f);
}

static void test_sub_page(void)
{
	struct fixture f;
	struct grant_page page;

	set_up(&f, 2);
	f.v2[10] = (grant_entry_v2_t){ .sub_page = { { GTF_permit_access | GTF_sub_page, PEER }, 100, 200, UINT64_C(1) << 40 } };
	g_assert_cmpint(grant_acquire(&f.table, 10, PEER, true, true, &page), ==, GNTST_general_error);
	g_assert_cmpint(grant_acquire(&f.table, 10, PEER, true, false, &page), ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, UINT64_C(1) << 40);
	g_assert_cmpuint(page.offset_bytes, ==, 100);
	g_assert_cmpuint(page.len_bytes, ==, 200);
	grant_release(&f.table, 10, true);
	f.v2[10].sub_page.page_off = 4000;
	g_assert_cmpint(grant_acquire(&f.table, 10, PEER, true, false, &page), ==, GNTST_general_error);
	g_assert_cmpuint(marks(&f, 10), ==, 0);
	tear_down(&f);
}

static void test_versions(void)
{
	struct fixture f;
	struct grant_page page;

	set_up(&f, 1);
	g_assert_cmpuint(grant_table_entries(&f.table), ==, 512);
	g_assert_cmpint(grant_table_set_version(&f.table, 0), ==, -XEN_EINVAL);
	g_assert_cmpint(grant_table_set_version(&f.table, 3), ==, -XEN_EINVAL);
	grant(&f, 0, PEER, GTF_permit_access, 1234);
	grant(&f, 1, PEER, GTF_accept_transfer, 1);
	grant(&f, 20, PEER, GTF_permit_access, 4321);
	g_assert_cmpint(grant_acquire(&f.table, 20, PEER, true, true, &page), ==, GNTST_okay);
	g_assert_cmpint(grant_table_set_version(&f.table, 2), ==, -XEN_EBUSY);
	grant_release(&f.table, 20, true);
	g_assert_cmpint(grant_acquire(&f.table, 0, PEER, false, true, &page), ==, GNTST_okay);
	g_assert_cmpint(grant_table_set_version(&f.table, 2), ==, 0);
	g_assert_cmpuint(grant_table_entries(&f.table), ==, 256);
	g_assert_cmpuint(f.v2[0].full_page.frame, ==, 1234);
	g_assert_cmpuint(marks(&f, 0), ==, (GTF_reading | GTF_writing));
	g_assert_cmpuint(f.v2[1].hdr.flags, ==, 0);
	g_assert_cmpuint(f.v2[20].hdr.flags, ==, 0);
	g_assert_cmpint(grant_table_set_version(&f.table, 1), ==, 0);
	g_assert_cmpuint(f.v1[0].frame, ==, 1234);
	g_assert_cmpuint(marks(&f, 0), ==, (GTF_reading | GTF_writing));
	grant_release(&f.table, 0, false);
	g_assert_cmpuint(marks(&f, 0), ==, 0);
	f.table.max_version = 1;
	g_assert_cmpint(grant_table_set_version(&f.table, 2), ==, -XEN_ENOSYS);
	g_assert_false(grant_table_grow(&f.table, N_FRAMES + 1));
	g_assert_true(grant_table_grow(&f.table, N_FRAMES));
	g_assert_cmpuint(grant_table_entries(&f.table), ==, N_FRAMES * 512);
	tear_down(&f);
}

static void test_gives_to_another(gconstpointer version)
{
	struct fixture f;

	set_up(&f, GPOINTER_TO_UINT(version));
	g_assert_false(grant_gives_to_another(&f.table, 77, PEER));
	grant(&f, 9, PEER, GTF_permit_access, 77);
	g_assert_false(grant_gives_to_another(&f.table, 77, PEER));
	g_assert_true(grant_gives_to_another(&f.table, 77, PEER + 1));
	g_assert_false(grant_gives_to_another(&f.table, 78, PEER + 1));
	struct grant_page page;
	g_assert_cmpint(grant_acquire(&f.table, 9, PEER, false, true, &page), ==, GNTST_okay);
	grant(&f, 9, PEER, GTF_invalid, 78);
	g_assert_true(grant_gives_to_another(&f.table, 77, PEER + 1));
	grant_release(&f.table, 9, false);
	g_assert_false(grant_gives_to_another(&f.table, 77, PEER + 1));
	tear_down(&f);
}

static void test_swap(gconstpointer version)
{
	struct fixture f;
	struct grant_page page;

	set_up(&f, GPOINTER_TO_UINT(version));
	grant(&f, 11, PEER, GTF_permit_access, 11);
	grant(&f, 12, PEER, GTF_permit_access | GTF_readonly, 12);
	g_assert_cmpint(grant_swap(&f.table, 11, 12), ==, GNTST_okay);
	g_assert_cmpint(grant_acquire(&f.table, 12, PEER, false, true, &page), ==, GNTST_okay);
	g_assert_cmpuint(page.gfn, ==, 11);
	g_assert_cmpint(grant_swap(&f.table, 11, 12), ==, GNTST_eagain);
	g_assert_cmpint(grant_swap(&f.table, 12, 12), ==, GNTST_okay);
	g_assert_cmpint(grant_swap(&f.table, 11, 100000), ==, GNTST_bad_gntref);
	grant_release(&f.table, 12, false);
	tear_down(&f);
}

/* Whatever a guest writes into its table, and whenever: pins and marks agree, and all comes back to nothing. */
static void test_random(gconstpointer version)
{
	struct fixture f;
	unsigned int held[2][64] = { 0 };

	set_up(&f, GPOINTER_TO_UINT(version));
	for (int i = 0; i < 200000; i++) {
		uint32_t ref = (uint32_t)g_test_rand_int_range(0, 64);
		bool read_only = g_test_rand_int_range(0, 2);
		struct grant_page page;

		switch (g_test_rand_int_range(0, 4)) {
		case 0:
			/* Of the marks, a sane guest keeps its hands: they are checked below. */
			if (!held[0][ref] && !held[1][ref])
				grant(&f, ref, (uint16_t)g_test_rand_int_range(0, 2),
				      (uint16_t)((uint32_t)g_test_rand_int() & ~(GTF_reading | GTF_writing)), (uint32_t)g_test_rand_int());
			break;
		case 1:
			if (grant_acquire(&f.table, ref, PEER, read_only, g_test_rand_int_range(0, 2), &page) != GNTST_okay)
				break;
			g_assert_cmpuint(page.offset_bytes + page.len_bytes, <=, PAGE);
			held[read_only][ref]++;
			break;
		default:
			if (!held[read_only][ref])
				break;
			grant_release(&f.table, ref, read_only);
			held[read_only][ref]--;
			break;
		}
		unsigned int expected = (held[0][ref] || held[1][ref] ? GTF_reading : 0) | (held[0][ref] ? GTF_writing : 0);
		g_assert_cmpuint(marks(&f, ref), ==, expected);
	}
	tear_down(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (guint version = 1; version <= 2; version++) {
		static const struct {
			const char *name;
			GTestDataFunc fn;
		} tests[] = { { "marks", test_marks }, { "refusals", test_refusals }, { "gives_to_another", test_gives_to_another },
			    { "swap", test_swap }, { "random", test_random } };

		for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
			g_autofree char *path = g_strdup_printf("/xen/grant/v%u/%s", version, tests[i].name);

			g_test_add_data_func(path, GUINT_TO_POINTER(version), tests[i].fn);
		}
	}
	g_test_add_func("/xen/grant/sub_page", test_sub_page);
	g_test_add_func("/xen/grant/versions", test_versions);
	return g_test_run();
}
