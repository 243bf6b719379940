// SPDX-License-Identifier: MIT
/*
 * A front end that lies, for libFuzzer: the input is what it writes into the ring, the grant table and the pages that it
 * shares, when it sends, and what it says its state is; while the other side reads, a second thread changes the same bytes.
 *
 * Whatever comes, nothing may crash or read beyond (the sanitizers), each request is answered or the device is closed, and
 * no grant stays marked as in use when the guest has gone (fake_free() looks).
 */
#include <xen/io/xenbus.h>

#include "backend/fake_frontend.h"
#include "input.h"

#define PAGES     8u
#define FIRST_REF 8u
#define STEPS_MAX 200u

static void put_request(struct fake *fake, struct input *input)
{
	struct fake_request request = { .operation = next(input) % 8, .n_segments = next(input) % 13, .id = next(input) };

	request.sector = next(input) < 250 ? next32(input) % FAKE_DISK_SECTORS : UINT64_MAX - next(input);
	request.n_sectors = next(input);
	request.indirect = request.operation == BLKIF_OP_INDIRECT;
	if (request.indirect) {
		request.indirect_op = next(input) % 8;
		request.n_indirect = (uint16_t)(next(input) * (next(input) < 250 ? 2 : 257));
		for (unsigned int i = 0; i < 8; i++)
			request.indirect_ref[i] = FIRST_REF + next(input) % 24;
	} else {
		for (unsigned int i = 0; i < 11; i++) {
			request.segment[i].ref = FIRST_REF + next(input) % 24;
			request.segment[i].first = next(input) % 9;
			request.segment[i].last = next(input) % 9;
		}
	}
	fake_put(fake, &request);
}

static void do_step(struct fake *fake, uint8_t **pages, struct scribbler *scribbler, struct input *input)
{
	uint32_t *indexes = (uint32_t *)(void *)fake->ring[0];
	uint8_t mask, *byte;

	switch (next(input) % 12) {
	case 0:
		set_bytes(input, fake->ring[next(input) % fake->ring_pages]);
		break;
	case 1:
		byte = grant_byte(&scribbler->grants, next32(input), &mask);
		__atomic_fetch_xor(byte, next(input) & mask, __ATOMIC_RELAXED);
		break;
	case 2:
		set_bytes(input, pages[next(input) % PAGES]);
		break;
	case 3:
		__atomic_store_n(&indexes[next(input) % 4], next(input) < 200 ? fake->produced + next(input) : next32(input),
				 __ATOMIC_SEQ_CST);
		break;
	case 4:
		fake_set_state(fake, next(input) % 8);
		fake_run_for(1);
		break;
	case 5:
		scribbler_start(scribbler, next32(input));
		break;
	case 6:
		fake_run_for(1);
		break;
	case 7:
	case 8:
		fake_kick(fake);
		break;
	default:
		put_request(fake, input);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	const uint8_t first = next(&input);
	struct fake *fake = fake_new(first & 1, first & 2);
	uint8_t *pages[PAGES];
	struct scribbler scribbler = { .grants = { &fake->guest, FIRST_REF, 24 }, .rings = fake->ring, .pages = pages, .n_rings = 1,
				       .n_pages = PAGES };
	uint32_t gfn, ref;

	fake->layout = first & 4 ? &BLOCK_LAYOUT_32 : &BLOCK_LAYOUT_64;
	if (first & 4)
		fake_write(fake, "protocol", "x86_32-abi");
	/* References 8 to 15 are of pages, 16 to 23 of the same for reading, those behind them of the ring. */
	for (unsigned int i = 0; i < 2 * PAGES; i++) {
		if (i < PAGES)
			pages[i] = fake_page(fake, &gfn);
		ref = fake_grant(fake, i < PAGES ? gfn : gfn - (i - PAGES), i < PAGES ? GTF_permit_access : GTF_permit_access | GTF_readonly);
		g_assert_cmpuint(ref, ==, FIRST_REF + i);
	}
	fake_connect(fake, first >> 3 & 1);
	for (unsigned int i = 0; i < STEPS_MAX && input.at < input.end; i++)
		do_step(fake, pages, &scribbler, &input);
	scribbler_stop(&scribbler);
	fake_free(fake);
	return 0;
}
