/* SPDX-License-Identifier: GPL-2.0-or-later */
/* refuse.c - run a program without io_uring, as in Docker: a filter refuses
 * the system calls named, with an error.
 *
 *	refuse setup|enter EPERM|ENOSYS PROGRAM [ARGUMENT...] */
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 4, .filter = code };

	if (argc < 4)
		errx(99, "setup or enter, EPERM or ENOSYS, a program");
	if (!strcmp(argv[1], "enter"))
		code[1].k = SYS_io_uring_enter;
	if (!strcmp(argv[2], "ENOSYS"))
		code[2].k = SECCOMP_RET_ERRNO | ENOSYS;
	if (geteuid() && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err(99, "PR_SET_NO_NEW_PRIVS");
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		err(77, "seccomp");
	execvp(argv[3], argv + 3);
	err(99, "%s", argv[3]);
}
