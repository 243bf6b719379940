/* SPDX-License-Identifier: MIT */
/* The way of the second vCPU from SIPI into long mode. The first part is copied to a page below 1 MiB. */
#define CR0_PE		1
#define CR0_PE_PG_WP	0x80010001
#define CR4_PAE		0x20
#define EFER_MSR	0xc0000080
#define EFER_LME	0x100

	.text
	.globl	second_entry_16, second_entry_16_end
	.code16
second_entry_16:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	second_gdt - second_entry_16
	movl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$0x08, $second_entry_32
	.balign	4
second_gdt:
	.word	8 * 8 - 1
	.long	gdt
second_entry_16_end:

	.code32
second_entry_32:
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$EFER_MSR, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
	movl	$page_table_root, %eax
	movl	%eax, %cr3
	movl	$CR0_PE_PG_WP, %eax
	movl	%eax, %cr0
	ljmp	$0x18, $1f
	.code64
1:
	movl	$second_stack_top, %esp
	lidt	second_idt
	call	second_main

	.bss
	.balign	16
	.skip	16384
second_stack_top:
	.section .note.GNU-stack, "", @progbits
