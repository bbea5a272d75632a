# SPDX-License-Identifier: GPL-2.0-or-later
"""attributes.py - modes, owners and times."""
import ctypes
import os
import stat
import struct

from ask import (libc, question, say, tell, make, read, opened, mode_of, touched,
                 as_user, USER)


@question
def changes_of_mode():
    make("f")
    os.mkdir("d")
    for mode in (0, 0o777, 0o4755, 0o2755, 0o1755, 0o7777):
        say(f"chmod {mode:o}", os.chmod, "f", mode)
        tell("file", mode_of("f"))
        os.chmod("d", mode)
        tell("directory", mode_of("d"))
    touched("chmod", ["f"], os.chmod, "f", 0o755)
    touched("to the same", ["f"], os.chmod, "f", 0o755)
    say("of nothing", os.chmod, "no", 0)
    say("utime of nothing", os.utime, "no")


@question
def changes_of_owner():
    if os.getuid():
        return
    make("f")
    for mode in (0o6755, 0o2744, 0o4755):
        os.chmod("f", mode)
        say(f"chown of {mode:o}", os.chown, "f", 1, 2)
        tell("is", mode_of("f"))
    tell("is", (os.stat("f").st_uid, os.stat("f").st_gid))
    say("only the group", os.chown, "f", -1, 7)
    tell("is", (os.stat("f").st_uid, os.stat("f").st_gid))
    say("a large number", os.chown, "f", 0xfffffffe, 0xfffffffe)
    tell("is", (os.stat("f").st_uid, os.stat("f").st_gid))
    touched("chown", ["f"], os.chown, "f", 3, 3)
    touched("chown of nothing", ["f"], os.chown, "f", -1, -1)
    os.mkdir("d", 0o755)
    os.chmod("d", 0o6755)
    os.chown("d", 5, 5)
    tell("a directory keeps its bits", mode_of("d"))
    make("mine")
    os.chown("mine", USER, USER)
    os.chmod("mine", 0o6755)
    make("theirs", mode=0o666)

    def user():
        say("give away", os.chown, "mine", 0, -1)
        say("to a group he is not in", os.chown, "mine", -1, 0)
        say("to himself", os.chown, "mine", USER, USER)
        tell("bits", mode_of("mine"))
        say("chmod of another's", os.chmod, "theirs", 0o600)
        say("chown of another's", os.chown, "theirs", USER, -1)
        say("utime of another's, now", os.utime, "theirs")
        say("utime of another's", os.utime, "theirs", (1, 1))
        say("setgid of another group", os.chmod, "mine", 0o2777)
    os.chmod(".", 0o777)
    as_user(user)


@question
def set_id_bits():
    if os.getuid():
        return
    os.chmod(".", 0o777)

    def fresh(name, mode):
        make(name, b"x" * 10)
        os.chown(name, USER, USER)
        os.chmod(name, mode)

    def user():
        for mode in (0o6777, 0o4777, 0o2777, 0o2767):
            name = f"w{mode:o}"
            opened(name, os.O_WRONLY, then=lambda fd: os.write(fd, b"y"))
            tell(f"{mode:o} written", mode_of(name))
            opened("t" + name, os.O_WRONLY | os.O_TRUNC)
            tell(f"{mode:o} truncated by open", mode_of("t" + name))
            os.truncate("c" + name, 3)
            tell(f"{mode:o} truncated", mode_of("c" + name))
            opened("a" + name, os.O_WRONLY,
                   then=lambda fd: os.posix_fallocate(fd, 0, 5000))
            tell(f"{mode:o} fallocated", mode_of("a" + name))
            opened("m" + name, os.O_RDWR, then=lambda fd: os.copy_file_range(
                fd, fd, 3, 0, 5))
            tell(f"{mode:o} copied into", mode_of("m" + name))
    for mode in (0o6777, 0o4777, 0o2777, 0o2767):
        for prefix in ("", "t", "c", "a", "m"):
            fresh(f"{prefix}w{mode:o}", mode)
    as_user(user)
    fresh("root", 0o6777)
    opened("root", os.O_WRONLY, then=lambda fd: os.write(fd, b"y"))
    tell("written by root", mode_of("root"))
    os.truncate("root", 1)
    tell("truncated by root", mode_of("root"))


@question
def times_of_changes():
    make("f", b"x" * 10)
    os.mkdir("d")
    fd = os.open("f", os.O_RDWR)
    touched("write", ["f", "."], os.write, fd, b"y")
    touched("write nothing", ["f"], os.write, fd, b"")
    touched("ftruncate shorter", ["f"], os.ftruncate, fd, 5)
    touched("ftruncate to the same", ["f"], os.ftruncate, fd, 5)
    touched("ftruncate longer", ["f"], os.ftruncate, fd, 50)
    os.close(fd)
    touched("truncate to the same", ["f"], os.truncate, "f", 50)
    touched("open with O_TRUNC", ["f"], opened, "f", os.O_WRONLY | os.O_TRUNC)
    touched("the same, empty", ["f"], opened, "f", os.O_WRONLY | os.O_TRUNC)
    touched("O_CREAT of what exists", ["f", "."], opened, "f",
            os.O_CREAT | os.O_RDWR)
    touched("create", ["d"], make, "d/x")
    touched("mkdir", ["d"], os.mkdir, "d/y")
    touched("symlink", ["d"], os.symlink, "t", "d/z")
    touched("mkfifo", ["d"], os.mkfifo, "d/p")
    touched("link", ["d", "f"], os.link, "f", "d/l")
    touched("rename inside", ["d", "f"], os.rename, "d/l", "d/m")
    touched("failed rmdir", ["d"], lambda: os.rmdir("d"))
    touched("failed create", ["d"], opened, "d/x",
            os.O_CREAT | os.O_EXCL | os.O_RDWR)
    touched("unlink", ["d", "f"], os.unlink, "d/m")
    touched("setxattr", ["f"], os.setxattr, "f", "user.a", b"1")
    touched("removexattr", ["f"], os.removexattr, "f", "user.a")
    touched("stat", ["f", "d"], os.stat, "f")
    os.utime("f", (1, 2000000000))
    tell("old and new", (os.stat("f").st_atime, os.stat("f").st_mtime))
    make("r", b"x")
    os.utime("r", (1, 1))
    touched("read of what was not read for long", ["r"], read, "r")
    os.utime("d", (1, 1))
    touched("list a directory", ["d"], os.listdir, "d")


@question
def setting_times():
    make("f")
    for ns in ((0, 0), (-1, -1), (1, 999999999), (1 << 31, 1 << 31),
               (1 - (1 << 31), 5), (1 << 33, 1 << 33)):
        say(f"seconds {ns[0]}", os.utime, "f", ns=(ns[0] * 10**9 + 123456789,
                                                   ns[1] * 10**9 + 1))
        say("is", lambda: (os.stat("f").st_atime_ns, os.stat("f").st_mtime_ns))
    touched("utime", ["f"], os.utime, "f", (5, 5))
    touched("utime now", ["f"], os.utime, "f")

    def utimensat(a, m):
        buf = struct.pack("qqqq", 77, a, 88, m)
        if libc.utimensat(-100, b"f", buf, 0):
            e = ctypes.get_errno()
            raise OSError(e, os.strerror(e))
    omit, now = (1 << 30) - 2, (1 << 30) - 1
    touched("only atime", ["f"], utimensat, now, omit)
    touched("only mtime", ["f"], utimensat, omit, now)
    touched("neither", ["f"], utimensat, omit, omit)
    say("bad nanoseconds", utimensat, 10**9, 0)
    os.symlink("no", "l")
    say("of a link", os.utime, "l", (3, 3), follow_symlinks=False)
    tell("is", os.lstat("l").st_mtime)


@question
def status():
    make("f", b"x" * 5000)
    st = os.stat("f")
    tell("file", (st.st_nlink, st.st_size, st.st_blksize, st.st_rdev))
    os.sync()
    tell("has blocks", os.stat("f").st_blocks > 0)
    os.mkdir("d")
    tell("links of a directory", os.stat("d").st_nlink)
    tell("one device", os.stat("f").st_dev == os.stat("d").st_dev)
    vfs = os.statvfs("f")
    tell("longest name", vfs.f_namemax)
    tell("free is not more than all", vfs.f_bavail <= vfs.f_bfree <=
         vfs.f_blocks and vfs.f_ffree <= vfs.f_files)
    for name in ("PC_LINK_MAX", "PC_NAME_MAX", "PC_PATH_MAX", "PC_PIPE_BUF",
                 "PC_NO_TRUNC", "PC_CHOWN_RESTRICTED", "PC_SYMLINK_MAX",
                 "PC_2_SYMLINKS"):
        if name in os.pathconf_names and name != "PC_LINK_MAX":
            say(name, os.pathconf, "f", name)
