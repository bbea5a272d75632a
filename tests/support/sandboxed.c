/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandboxed.c - what a daemon in its sandbox can do, and what it can't: each
 * system call is tried, also from a thread that was there before. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

static pthread_barrier_t entered;
static bool failed;

static void expect(const char *what, long res, int err)
{
	int got = res < 0 ? errno : 0;
	bool good = got == err;

	printf("%s - %s: %s\n", good ? "ok" : "not ok", what,
	       got ? strerror(got) : "goes");
	failed |= !good;
}

static void try_all(void)
{
	char *const argv[] = { "true", NULL };
	int fd = open("/dev/null", O_RDWR);

	expect("open", fd, 0);
	expect("a local socket", socket(AF_UNIX, SOCK_DGRAM, 0), 0);
	expect("unmount what is none", umount2("/dev/null", MNT_DETACH),
	       EINVAL);
	expect("execve", execve("/bin/true", argv, argv), EPERM);
	expect("mount", mount("none", "/mnt", "tmpfs", 0, NULL), EPERM);
	expect("ptrace", ptrace(PTRACE_ATTACH, 1, NULL, NULL), EPERM);
	expect("setuid", (int)syscall(SYS_setuid, 1), EPERM);
	expect("unshare", unshare(CLONE_NEWNS), EPERM);
	expect("kill", kill(1, 0), EPERM);
	expect("a socket of the network", socket(AF_INET, SOCK_STREAM, 0),
	       EPERM);
	expect("chmod", fchmod(fd, 0666), EPERM);
	expect("mknod", mknod("/tmp/never", S_IFIFO, 0), EPERM);
	close(fd);
}

static void *thread(void *arg)
{
	pthread_barrier_wait(&entered);
	try_all();
	return arg;
}

int main(void)
{
	pthread_t before, after;

	setvbuf(stdout, NULL, _IOLBF, 0);
	expect("capabilities are dropped", sandbox_drop(), 0);
	expect("chown without its capability", chown("/dev/null", 1, 1),
	       EPERM);
	pthread_barrier_init(&entered, NULL, 2);
	expect("a thread", -pthread_create(&before, NULL, thread, NULL), 0);
	expect("the filter is entered", sandbox_enter(), 0);
	pthread_barrier_wait(&entered);
	pthread_join(before, NULL);
	expect("another thread", -pthread_create(&after, NULL, thread, NULL),
	       0);
	pthread_barrier_wait(&entered);
	pthread_join(after, NULL);
	return failed;
}
