// The thunks of the trampolines: kThunks functions of 16 bytes each, all alike but for the number that they hand on.
//
// A thunk loads its number and jumps to the common part, which lays down every register that can hold an argument
// (integers, then floating point; trampolines.cc knows how many of each) and calls
//
//     uint64_t haft_trampoline_enter(uint32_t number, const uint64_t *registers, const uint64_t *stack);
//
// The 64 bits that this returns go into the result registers of both classes, so one way back serves every return type.
//
// System V AMD64 ABI 1.0, section 3.2; Procedure Call Standard for the Arm 64-bit Architecture (2023Q3), section 6.

#if defined(__CET__)
#include <cet.h>  // says that each thunk begins with a landing pad
#endif

#if defined(__ELF__) && defined(__x86_64__)

  .text
  .p2align 4
  .globl haft_thunks
  .hidden haft_thunks
  .type haft_thunks, @object
haft_thunks:
  .set number, 0
  .rept 1024
  .p2align 4
  endbr64
  movl $number, %r11d
  jmp common
  .set number, number + 1
  .endr
  .size haft_thunks, . - haft_thunks

  .p2align 4
  .type common, @function
common:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq $112, %rsp
  movq %rdi, (%rsp)
  movq %rsi, 8(%rsp)
  movq %rdx, 16(%rsp)
  movq %rcx, 24(%rsp)
  movq %r8, 32(%rsp)
  movq %r9, 40(%rsp)
  movsd %xmm0, 48(%rsp)
  movsd %xmm1, 56(%rsp)
  movsd %xmm2, 64(%rsp)
  movsd %xmm3, 72(%rsp)
  movsd %xmm4, 80(%rsp)
  movsd %xmm5, 88(%rsp)
  movsd %xmm6, 96(%rsp)
  movsd %xmm7, 104(%rsp)
  movl %r11d, %edi
  movq %rsp, %rsi
  leaq 16(%rbp), %rdx
  call haft_trampoline_enter
  movq %rax, %xmm0
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size common, . - common

#elif defined(__ELF__) && defined(__aarch64__)

  .text
  .p2align 4
  .globl haft_thunks
  .hidden haft_thunks
  .type haft_thunks, %object
haft_thunks:
  .set number, 0
  .rept 1024
  .p2align 4
  hint #34                      // bti c
  movz w16, #number
  b common
  .set number, number + 1
  .endr
  .size haft_thunks, . - haft_thunks

  .p2align 4
  .type common, %function
common:
  .cfi_startproc
  stp x29, x30, [sp, #-144]!
  .cfi_def_cfa_offset 144
  .cfi_offset x29, -144
  .cfi_offset x30, -136
  mov x29, sp
  stp x0, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  stp x6, x7, [sp, #64]
  stp d0, d1, [sp, #80]
  stp d2, d3, [sp, #96]
  stp d4, d5, [sp, #112]
  stp d6, d7, [sp, #128]
  mov w0, w16
  add x1, sp, #16
  add x2, sp, #144
  bl haft_trampoline_enter
  fmov d0, x0
  ldp x29, x30, [sp], #144
  .cfi_restore x29
  .cfi_restore x30
  .cfi_def_cfa_offset 0
  ret
  .cfi_endproc
  .size common, . - common

#endif

#if defined(__ELF__)
  .section .note.GNU-stack, "", %progbits
#endif
