#include "go_asm.h"
#include "textflag.h"

#define SYS_rt_sigprocmask 14
#define SYS_close 3
#define SYS_clone 56
#define SYS_getppid 110
#define SYS_prctl 157
#define SYS_exit_group 231
#define SYS_ppoll 271
#define SYS_close_range 436

// func fork(f *forking)
//
// It has no frame: at its entry the return address lies at 0(SP), and BP is the caller's frame pointer. The kernel keeps
// all registers but AX, CX and R11. Below the label child nothing returns, calls, or touches Go's stack.
TEXT ·fork(SB),NOSPLIT|NOFRAME,$0-8
	MOVQ	f+0(FP), BX
	MOVQ	0(SP), AX
	MOVQ	AX, forking_pc(BX)
	LEAQ	8(SP), AX
	MOVQ	AX, forking_sp(BX)
	MOVQ	BP, forking_fp(BX)

	// Block all signals, so that the child is born with none to handle.
	MOVQ	$2, DI // SIG_SETMASK
	LEAQ	forking_all(BX), SI
	LEAQ	forking_mask(BX), DX
	MOVQ	$8, R10
	MOVQ	$SYS_rt_sigprocmask, AX
	SYSCALL
	TESTQ	AX, AX
	JNZ	failed

	XORL	DI, DI // no flags, exit signal 0
	XORL	SI, SI // the same stack address
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVQ	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, forking_result(BX)

	MOVQ	$2, DI // SIG_SETMASK
	LEAQ	forking_mask(BX), SI
	XORL	DX, DX
	MOVQ	$8, R10
	MOVQ	$SYS_rt_sigprocmask, AX
	SYSCALL
	RET

failed:
	MOVQ	AX, forking_result(BX)
	RET

child:
	MOVQ	$1, DI // PR_SET_PDEATHSIG
	MOVQ	$9, SI // SIGKILL
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVQ	$SYS_prctl, AX
	SYSCALL
	TESTQ	AX, AX
	JNZ	exit

	// The parent may have died before.
	MOVQ	$SYS_getppid, AX
	SYSCALL
	CMPQ	AX, forking_parent(BX)
	JNE	exit

	MOVQ	forking_below(BX), R12
	TESTQ	R12, R12
	JNZ	close
	XORL	DI, DI
	MOVL	$0xffffffff, SI
	XORL	DX, DX
	MOVQ	$SYS_close_range, AX
	SYSCALL
	TESTQ	AX, AX
	JNZ	exit
	JMP	name

close:
	SUBQ	$1, R12
	MOVQ	R12, DI
	MOVQ	$SYS_close, AX
	SYSCALL
	TESTQ	R12, R12
	JNZ	close

name:
	MOVQ	$15, DI // PR_SET_NAME
	LEAQ	forking_name(BX), SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	MOVQ	$SYS_prctl, AX
	SYSCALL

sleep:
	XORL	DI, DI
	XORL	SI, SI
	XORL	DX, DX
	XORL	R10, R10
	MOVQ	$8, R8
	MOVQ	$SYS_ppoll, AX
	SYSCALL
	CMPQ	AX, $-4 // EINTR
	JEQ	sleep

exit:
	MOVQ	$1, DI
	MOVQ	$SYS_exit_group, AX
	SYSCALL
	INT	$3
	JMP	exit
