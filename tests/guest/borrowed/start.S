/* SPDX-License-Identifier: MIT */
/* The PVH entry, and from there to 64 bits; memory below 4 GiB is mapped at its own address. */
#include "shared.h"

#define CR0_PE_PG 0x80000001
#define CR4_PAE   0x20
#define EFER_MSR  0xc0000080
#define EFER_LME  0x100
#define TABLE     0x63
#define LARGE     0xe3

	.section .note.Xen, "a", @note
	.long	4, 4, 18		/* owner's and descriptor's length, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.text
	.globl	_start
	.code32
_start:
	cld
	lgdt	gdt_pointer
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$EFER_MSR, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$boot_root, %eax
	movl	%eax, %cr3
	movl	$CR0_PE_PG, %eax
	movl	%eax, %cr0
	ljmp	$0x08, $1f
	.code64
1:	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_top, %esp
	call	prepare
	/*
	 * All of the image goes to the window, the stack in it too, and then the new tables show it at the same addresses:
	 * in between nothing is written. RAX: the new root.
	 */
	movl	$0x100000, %esi
	movl	$_end, %ecx
	subl	%esi, %ecx
	movl	$BORROWED_GPA + 0x100000, %edi
	rep movsb
	movq	%rax, %cr3
	lgdt	gdt_pointer
	call	borrowed_main
2:	hlt
	jmp	2b

	.data
	.balign	16
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 0x08: code, 64 bits */
	.quad	0x00cf93000000ffff	/* 0x10: data */
gdt_pointer:
	.word	. - gdt - 1
	.quad	gdt

	.balign	4096
boot_root:
	.long	boot_pointers + TABLE, 0
	.fill	511, 8, 0
boot_pointers:
	.set	i, 0
	.rept	4
	.long	boot_directories + i * 4096 + TABLE, 0
	.set	i, i + 1
	.endr
	.fill	508, 8, 0
boot_directories:
	.set	i, 0
	.rept	2048
	.long	(i << 21) + LARGE, 0
	.set	i, i + 1
	.endr

	.bss
	.balign	4096
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits
