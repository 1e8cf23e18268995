#include "go_asm.h"
#include "textflag.h"

#define SYS_close 57
#define SYS_ppoll 73
#define SYS_exit_group 94
#define SYS_rt_sigprocmask 135
#define SYS_prctl 167
#define SYS_getppid 173
#define SYS_clone 220
#define SYS_close_range 436

// func fork(f *forking)
//
// It has no frame: the return address is in R30, the caller's stack pointer in RSP and its frame pointer in R29. The
// kernel keeps all registers but R0. Below the label child nothing returns, calls, or touches Go's stack.
TEXT ·fork(SB),NOSPLIT|NOFRAME,$0-8
	MOVD	f+0(FP), R9
	MOVD	R30, forking_pc(R9)
	MOVD	RSP, R10
	MOVD	R10, forking_sp(R9)
	MOVD	R29, forking_fp(R9)

	// Block all signals, so that the child is born with none to handle.
	MOVD	$2, R0 // SIG_SETMASK
	ADD	$forking_all, R9, R1
	ADD	$forking_mask, R9, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	CBNZ	R0, failed

	MOVD	$0, R0 // no flags, exit signal 0
	MOVD	$0, R1 // the same stack address
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, child
	MOVD	R0, forking_result(R9)

	MOVD	$2, R0 // SIG_SETMASK
	ADD	$forking_mask, R9, R1
	MOVD	$0, R2
	MOVD	$8, R3
	MOVD	$SYS_rt_sigprocmask, R8
	SVC
	RET

failed:
	MOVD	R0, forking_result(R9)
	RET

child:
	MOVD	$1, R0 // PR_SET_PDEATHSIG
	MOVD	$9, R1 // SIGKILL
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_prctl, R8
	SVC
	CBNZ	R0, exit

	// The parent may have died before.
	MOVD	$SYS_getppid, R8
	SVC
	MOVD	forking_parent(R9), R10
	CMP	R10, R0
	BNE	exit

	MOVD	forking_below(R9), R11
	CBNZ	R11, close
	MOVD	$0, R0
	MOVD	$0xffffffff, R1
	MOVD	$0, R2
	MOVD	$SYS_close_range, R8
	SVC
	CBNZ	R0, exit
	B	name

close:
	SUB	$1, R11
	MOVD	R11, R0
	MOVD	$SYS_close, R8
	SVC
	CBNZ	R11, close

name:
	MOVD	$15, R0 // PR_SET_NAME
	ADD	$forking_name, R9, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$SYS_prctl, R8
	SVC

sleep:
	MOVD	$0, R0
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$0, R3
	MOVD	$8, R4
	MOVD	$SYS_ppoll, R8
	SVC
	CMN	$4, R0 // EINTR
	BEQ	sleep

exit:
	MOVD	$1, R0
	MOVD	$SYS_exit_group, R8
	SVC
	B	exit
