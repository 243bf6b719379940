// SPDX-License-Identifier: MIT
/* Random configurations, their equality, and their text in a random layout: for tests of what reads and writes them. */
#pragma once

#include <glib.h>

#include "config/guest_config.h"

struct disk_config *random_disk(void);
struct vif_config *random_vif(void);
struct p9_config *random_p9(void);
struct channel_config *random_channel(void);

/* Valid, each value set or not; memory a multiple of memory_unit bytes. */
struct guest_config *random_config(uint64_t memory_unit_bytes);

/* Words of a device in any order and form its parser reads. */
char *print_disk(const struct disk_config *disk);

/* As an xl.cfg. */
char *print_xl(const struct guest_config *config);

/* All but origins and raw texts; whether a value is set counts. */
void assert_same_disk(const struct disk_config *a, const struct disk_config *b);
void assert_same_vif(const struct vif_config *a, const struct vif_config *b);
void assert_same_config(struct guest_config *a, struct guest_config *b);

/* A line of text: what, why, what to do. */
void assert_is_message(const char *message, const char *file);

/* What a hand may do to bytes: a few of them changed, dropped, doubled, or taken from words. */
GByteArray *mutate(const void *bytes, size_t len_bytes, const char *const *words);
