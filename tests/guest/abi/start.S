/* SPDX-License-Identifier: MIT */
/*
 * Where the guests that check the ABI begin: the PVH entry (32 bits, no paging, EBX: start info) or with MULTIBOOT that of
 * Multiboot 1 (EBX: its information), from there into the mode that the file was assembled for. GUEST_PAGING: 64 long mode, 36 PAE, 32 two levels, 0 none.
 *
 * Memory below 4 GiB is mapped at its own address. At 1 GiB lies the window: pages of 4 KiB that paging.c maps, for
 * arguments that cross pages, or lie nowhere.
 */
#define CR0_PE_PG_WP 0x80010001
#define CR4_PSE      0x10
#define CR4_PAE      0x20
#define EFER_MSR     0xc0000080
#define EFER_LME     0x100
#define PAGE         0x67	/* present, writable, user, accessed, dirty */
#define PAGE_LARGE   0xe7
#define TABLE        0x67

#ifdef MULTIBOOT
/* Within the first 8 KiB of the file: the linker puts this section before all other code. */
	.section .text.unlikely, "ax"
	.balign 4
	.long	0x1badb002, 3, -(0x1badb002 + 3)	/* magic; modules at pages, tell of memory; their sum is 0 */
#else
	.section .note.Xen, "a", @note
	.long	4, 4, 18		/* owner's and descriptor's length, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start
#endif

	.text
	.globl	_start
	.code32
_start:
	cld
	movl	$stack_top, %esp
	movl	%ebx, start_info_gpa
	movl	%eax, loader_magic
	lgdt	gdt_pointer
	call	enable_paging
#if GUEST_PAGING == 64
	ljmp	$0x18, $1f
	.code64
1:
#else
	ljmp	$0x08, $1f
1:
#endif
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	call	guest_main
2:	hlt
	jmp	2b

	.code32
enable_paging:
#if GUEST_PAGING == 64
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
	movl	$EFER_MSR, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
#elif GUEST_PAGING == 36
	movl	$CR4_PAE, %eax
	movl	%eax, %cr4
#elif GUEST_PAGING == 32
	movl	$CR4_PSE, %eax
	movl	%eax, %cr4
#endif
#if GUEST_PAGING != 0
	movl	$page_table_root, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$CR0_PE_PG_WP, %eax
	movl	%eax, %cr0
#endif
	ret

/*
 * A vCPU that VCPUOP_initialise started, in 32-bit mode without paging: it needs no stack to be counted. With interrupts
 * on, of which none comes, it is up while it halts; with interrupts off it were down.
 */
	.globl	vcpu_entry_32
vcpu_entry_32:
	lock incl vcpus_counted
3:	sti
	hlt
	jmp	3b

/* Copied to a page below 1 MiB, for SIPI: real mode, the count is in the last word of that page. */
	.globl	vcpu_entry_16, vcpu_entry_16_end
	.code16
vcpu_entry_16:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lock incw 0xffc
4:	hlt
	jmp	4b
vcpu_entry_16_end:

#if GUEST_PAGING == 64
	.code64
	.globl	vcpu_entry_64
vcpu_entry_64:
	lock incl vcpus_counted
5:	sti
	hlt
	jmp	5b
#endif

#if GUEST_PAGING == 64
#include "traps-64.h"
#else
	.code32
#include "traps-32.h"
#endif

	.data
	.globl	gdt
	.balign	16
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: code, 32 bits */
	.quad	0x00cf93000000ffff	/* 0x10: data */
	.quad	0x00af9b000000ffff	/* 0x18: code, 64 bits */
#if GUEST_PAGING == 64
	.quad	0x00affb000000ffff	/* 0x20: user code */
#else
	.quad	0x00cffb000000ffff
#endif
	.quad	0x00cff3000000ffff	/* 0x28: user data */
	.quad	0, 0			/* 0x30: task state, traps.c */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt, 0

#if GUEST_PAGING != 0
	.balign	4096
	.globl	page_table_root, window_table
#if GUEST_PAGING == 64
page_table_root:
	.long	page_directories_pointers + TABLE, 0
	.fill	511, 8, 0
	.balign	4096
	.globl	page_directories_pointers
page_directories_pointers:
	.set	i, 0
	.rept	4
	.long	page_directories + i * 4096 + TABLE, 0
	.set	i, i + 1
	.endr
	.fill	508, 8, 0
#elif GUEST_PAGING == 36
page_table_root:
	.set	i, 0
	.rept	4
	.long	page_directories + i * 4096 + 1, 0	/* the other bits are reserved here */
	.set	i, i + 1
	.endr
#endif
	.balign	4096
#if GUEST_PAGING == 32
page_table_root:
	.set	i, 0
	.rept	1024
	.if	i == 256
	.long	window_table + TABLE
	.else
	.long	(i << 22) + PAGE_LARGE
	.endif
	.set	i, i + 1
	.endr
#else
	.globl	page_directories
page_directories:
	.set	i, 0
	.rept	2048
	.if	i == 512
	.long	window_table + TABLE, 0
	.else
	.long	(i << 21) + PAGE_LARGE, 0
	.endif
	.set	i, i + 1
	.endr
#endif
window_table:
	.fill	1024, 4, 0
#endif

	.bss
	.balign	4096
	.skip	32768
stack_top:
	.section .note.GNU-stack, "", @progbits
