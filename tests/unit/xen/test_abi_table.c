// SPDX-License-Identifier: MIT
/* The tables of hypercalls are sound, and docs/abi.md is what they say. --print writes the page. */
#include <stdio.h>
#include <string.h>

#include <glib.h>

#include "xen/abi.h"
#include "xen/abi_table.h"

static void test_page(void)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *page = NULL;
	GString *expected = abi_table_markdown();

	g_assert_true(g_file_get_contents(ABI_PAGE, &page, NULL, &error));
	if (strcmp(page, expected->str) != 0)
		g_test_message("docs/abi.md is old: make it anew with test-xen-abi_table --print >docs/abi.md");
	g_assert_true(strcmp(page, expected->str) == 0);
	g_string_free(expected, TRUE);
}

static void check_op(const struct hypercall_op *op)
{
	g_assert_nonnull(op->name);
	g_assert_true((op->state == HYPERCALL_OFFERED) == (op->handler != NULL));
	g_assert_true((op->state == HYPERCALL_OFFERED) == (op->error == 0));
}

static void test_sound(void)
{
	for (uint64_t number = 0; number < 64; number++) {
		const struct hypercall_family *family = abi_table_family(number);

		if (!family)
			continue;
		if (!family->ops)
			check_op(&family->self);
		for (unsigned int i = 0; i < family->n_ops; i++) {
			check_op(&family->ops[i]);
			g_assert_true(abi_table_op(family, family->ops[i].number) == &family->ops[i]);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		GString *page = abi_table_markdown();

		fputs(page->str, stdout);
		g_string_free(page, TRUE);
		return 0;
	}
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xen/abi_table/page", test_page);
	g_test_add_func("/xen/abi_table/sound", test_sound);
	return g_test_run();
}
