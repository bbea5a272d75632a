/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sandbox.c - the daemon gives up what it does not need.
 *
 * (1) Capabilities are a thread's, so they are dropped before there is a
 *     second one.  Kept is what opening, mounting, unmounting and opening the
 *     log anew may need, whoever owns the files.
 * (2) The filter goes to all threads at once.  It names what is refused, not
 *     what is allowed: what a library calls tomorrow goes on.
 * (3) Who may not unmount by himself needs fusermount3, a set-id program, and
 *     keeps everything: an ordinary user has little to give up, and a filter
 *     would take the set-id bit from it.
 * (4) Sanitizers look at the process from a process of their own, and start
 *     programs: they get no filter. */
#include "config.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

#if defined(__x86_64__)
#define ARCH	AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH	AUDIT_ARCH_AARCH64
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define BIT(cap)	(UINT64_C(1) << (cap))

/* (1)  Of these: ADMIN mounts, unmounts and sends NVMe commands; PTRACE
 * reaches a file behind a loop device of another namespace; RESOURCE lets an
 * image grow into what its filesystem reserves for root. */
static const uint64_t kept = BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_OVERRIDE) |
	BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SYS_PTRACE) |
	BIT(CAP_SYS_RESOURCE) | BIT(CAP_IPC_LOCK) | BIT(CAP_SYS_RAWIO);

void sandbox_no_dumps(void)
{
	const struct rlimit none = { 0 };

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);	/* where a program takes the dumps */
}

static int get_caps(uint64_t *permitted, struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

int sandbox_drop(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	uint64_t had = 0, keep;
	int err = get_caps(&had, data);

	if (err || !had)
		return err;
	/* What a program would get that we start. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(kept & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap);
	for (int i = 0; i < 2; i++) {
		keep = kept >> (32 * i);
		data[i].permitted &= (uint32_t)keep;
		data[i].effective &= (uint32_t)keep;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

#if defined(ARCH) && !defined(SANITIZED)
#define FIELD(name)	(uint32_t)offsetof(struct seccomp_data, name)
#define LOAD(name)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(name))
#define IS(value, yes, no) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), yes, no)
#define RETURN(what)	BPF_STMT(BPF_RET | BPF_K, what)
#define ERROR(err)	RETURN(SECCOMP_RET_ERRNO | (err))
#define NO(name)	IS(SYS_##name, 0, 1), ERROR(EPERM)
#define NAMESPACES	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
			 CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
			 CLONE_NEWNET)

static const struct sock_filter code[] = {
	LOAD(arch),
	IS(ARCH, 1, 0),
	ERROR(ENOSYS),
	LOAD(nr),
#ifdef __x86_64__
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),	/* x32 */
	ERROR(ENOSYS),
#endif
	/* other programs, and what is theirs */
	NO(execve), NO(execveat), NO(ptrace), NO(process_vm_readv),
	NO(process_vm_writev), NO(kill),
	IS(438, 0, 1), ERROR(EPERM),			/* pidfd_getfd */
	/* who we are */
	NO(setuid), NO(setgid), NO(setreuid), NO(setregid), NO(setresuid),
	NO(setresgid), NO(setfsuid), NO(setfsgid), NO(setgroups), NO(capset),
	/* where we are; umount2 stays */
	NO(mount), NO(pivot_root), NO(chroot), NO(setns), NO(unshare),
	IS(428, 0, 1), ERROR(EPERM),			/* open_tree */
	IS(429, 0, 1), ERROR(EPERM),			/* move_mount */
	IS(430, 0, 1), ERROR(EPERM),			/* fsopen */
	IS(442, 0, 1), ERROR(EPERM),			/* mount_setattr */
	/* other names: files are opened, and nothing else */
	NO(linkat), NO(symlinkat), NO(renameat2), NO(unlinkat), NO(mkdirat),
	NO(mknodat), NO(fchmod), NO(fchmodat), NO(fchown), NO(fchownat),
	NO(truncate), NO(setxattr), NO(lsetxattr), NO(fsetxattr),
	NO(open_by_handle_at),
	IS(452, 0, 1), ERROR(EPERM),			/* fchmodat2 */
#ifdef __x86_64__
	NO(link), NO(symlink), NO(rename), NO(renameat), NO(unlink), NO(rmdir),
	NO(mkdir), NO(mknod), NO(chmod), NO(chown), NO(lchown), NO(iopl),
	NO(ioperm),
#endif
	/* the machine */
	NO(init_module), NO(finit_module), NO(delete_module), NO(kexec_load),
	NO(bpf), NO(perf_event_open), NO(userfaultfd), NO(add_key),
	NO(request_key), NO(keyctl), NO(reboot), NO(swapon), NO(swapoff),
	NO(sethostname), NO(setdomainname), NO(acct), NO(quotactl),
	NO(settimeofday), NO(clock_settime), NO(adjtimex), NO(syslog),
	/* the network: the system log is a local socket */
	NO(bind), NO(listen), NO(accept4),
	IS(SYS_socket, 0, 4),
	LOAD(args[0]),
	IS(AF_UNIX, 1, 0),
	ERROR(EPERM),
	RETURN(SECCOMP_RET_ALLOW),
	/* threads, but no namespaces; of clone3 the flags can't be seen */
	IS(SYS_clone3, 0, 1), ERROR(ENOSYS),
	IS(SYS_clone, 0, 3),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NAMESPACES, 0, 1),
	ERROR(EPERM),
	RETURN(SECCOMP_RET_ALLOW),
};

/* (2) */
static int filter(void)
{
	struct sock_fprog prog = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = (struct sock_filter *)code,
	};
	long res = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
			   SECCOMP_FILTER_FLAG_TSYNC, &prog);

	return res < 0 ? -errno : res > 0 ? -ESRCH : 0;
}
#else
static int filter(void)
{
	return 0;	/* (4) */
}
#endif

int sandbox_enter(void)
{
	struct __user_cap_data_struct data[2];
	uint64_t had = 0;
	int err = get_caps(&had, data);

	if (err || !(data[0].effective & BIT(CAP_SYS_ADMIN)))
		return err;	/* (3) */
	return filter();
}
