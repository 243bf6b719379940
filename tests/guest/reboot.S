/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest there is: it starts by its PVH entry and asks for a reset at once, by the port that the FADT
 * names. For tests that start a domain many times.
 */
	.section .note.Xen, "a", @note
	.long	4, 4, 18		/* owner's and descriptor's length, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.text
	.globl	_start
	.code32
_start:
	movw	$0x602, %dx
	movb	$1, %al
	outb	%al, %dx
1:	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
