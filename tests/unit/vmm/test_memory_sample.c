// SPDX-License-Identifier: MIT
/* What counts as ours, of a text as the kernel writes it. */
#include "vmm/memory_sample.h"

#include <glib.h>

#include "vmm/record.h"

/* Guest memory before, between and behind what is ours; the last mapping has no dirty page. */
static const char SMAPS[] =
	"7f0000000000-7f0003600000 rw-p 00000000 00:00 0 \n"
	"Size:              55296 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:     10240 kB\nVmFlags: rd wr mr mw me nr dd sd hg \n"
	"7f0003600000-7f0003700000 rw-p 00000000 00:00 0                          [heap]\n"
	"Size:               1024 kB\nPrivate_Clean:         4 kB\nPrivate_Dirty:       300 kB\nVmFlags: rd wr mr mw me ac sd \n"
	"7f0003800000-7f0023800000 rw-p 00000000 00:00 0 \n"
	"Size:             524288 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:    131072 kB\nVmFlags: rd wr mr mw me nr dd \n"
	"7f0023900000-7f0023a00000 rw-p 00000000 08:01 4711                       /usr/lib/x\n"
	"Size:               1024 kB\nPrivate_Clean:         0 kB\nPrivate_Dirty:        24 kB\nVmFlags: rd wr mr mw me ac \n"
	"7f0023b00000-7f0023b01000 r--p 00000000 08:01 4711                       /usr/lib/x\n"
	"Size:                  4 kB\nPrivate_Clean:         4 kB\nPrivate_Dirty:         0 kB\nVmFlags: rd mr mw me \n";

static void test_counts(void)
{
	struct record *record = record_new(0);
	g_autofree char *text = g_strdup(SMAPS);
	FILE *smaps = fmemopen(text, sizeof(SMAPS) - 1, "r");

	/* Again and again from the start. */
	for (int i = 0; i < 2; i++) {
		memory_sample(record, smaps);
		g_assert_cmpuint(record->peak_private_kib, ==, 324);
	}
	fclose(smaps);
	record_free(record);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/memory_sample/counts", test_counts);
	return g_test_run();
}
