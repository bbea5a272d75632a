# SPDX-License-Identifier: GPL-2.0-or-later
"""content.py - what is in files."""
import ctypes
import mmap
import os
import resource
import signal
import stat

from ask import (libc, question, error, say, tell, make, read, opened, there,
                 touched)


@question
def reading_and_writing():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    say("write", os.write, fd, b"0123456789")
    say("write nothing", os.write, fd, b"")
    say("read at the end", os.read, fd, 5)
    say("pread past the end", os.pread, fd, 5, 100)
    say("pread across the end", os.pread, fd, 50, 7)
    say("pwrite past the end", os.pwrite, fd, b"x", 5000)
    tell("size", os.fstat(fd).st_size)
    say("zeros between", lambda: set(os.pread(fd, 4990, 10)))
    say("lseek end", os.lseek, fd, 0, os.SEEK_END)
    say("lseek before the start", os.lseek, fd, -1, os.SEEK_SET)
    say("lseek far", os.lseek, fd, 1 << 40, os.SEEK_SET)
    say("read there", os.read, fd, 1)
    tell("size", os.fstat(fd).st_size)
    say("negative offset", os.pread, fd, 1, -1)
    say("writev", os.writev, fd, [b"ab", b"", b"cd"])
    tell("size", os.fstat(fd).st_size)
    say("truncate back", os.ftruncate, fd, 3)
    say("read it", os.pread, fd, 10, 0)
    say("grow", os.ftruncate, fd, 8)
    say("read it", os.pread, fd, 10, 0)
    say("negative size", os.ftruncate, fd, -1)
    os.close(fd)
    fd = os.open("f", os.O_RDONLY)
    say("write to O_RDONLY", os.write, fd, b"x")
    say("truncate O_RDONLY", os.ftruncate, fd, 0)
    os.close(fd)
    fd = os.open("f", os.O_WRONLY)
    say("read from O_WRONLY", os.read, fd, 1)
    os.close(fd)
    fd = os.open("f", os.O_WRONLY | os.O_APPEND)
    os.lseek(fd, 0, os.SEEK_SET)
    say("append", os.write, fd, b"END")
    say("pwrite with O_APPEND", os.pwrite, fd, b"P", 0)
    say("position", os.lseek, fd, 0, os.SEEK_CUR)
    os.close(fd)
    tell("is", read("f"))
    d = os.open(".", os.O_RDONLY)
    say("read a directory", os.read, d, 10)
    os.close(d)
    say("truncate a directory", os.truncate, ".", 0)
    say("truncate nothing", os.truncate, "no", 0)
    for n in (4095, 4096, 4097, 65536, 1 << 20):
        make("f", os.urandom(n))
        tell(f"{n} bytes", (os.stat("f").st_size, len(read("f"))))


@question
def limits_of_files():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    say("at 4 TiB", os.pwrite, fd, b"x", 1 << 42)
    say("is", os.pread, fd, 2, 1 << 42)
    say("size", lambda: os.fstat(fd).st_size)
    say("past all", os.pwrite, fd, b"x", (1 << 63) - 1)
    say("truncate past all", os.ftruncate, fd, (1 << 63) - 1)
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.ftruncate(fd, 0)
    answers = []    # printed later: the output may be a file, too
    resource.setrlimit(resource.RLIMIT_FSIZE, (10000, old[1]))
    for f, *args in ((os.pwrite, fd, b"x" * 100, 9950),
                     (os.pwrite, fd, b"x", 10000), (os.ftruncate, fd, 10001)):
        try:
            answers.append(f(*args))
        except OSError as e:
            answers.append(error(e))
    resource.setrlimit(resource.RLIMIT_FSIZE, old)
    tell("write at the limit, past it, truncate past it", answers)
    os.close(fd)


@question
def holes():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    os.pwrite(fd, b"x" * 65536, 1 << 20)
    os.pwrite(fd, b"x" * 65536, 3 << 20)
    os.ftruncate(fd, 8 << 20)
    for at in (0, 1 << 20, (1 << 20) + 1, 2 << 20, 4 << 20):
        say(f"data from {at}", os.lseek, fd, at, os.SEEK_DATA)
        say(f"hole from {at}", os.lseek, fd, at, os.SEEK_HOLE)
    say("data at the end", os.lseek, fd, 8 << 20, os.SEEK_DATA)
    say("hole at the end", os.lseek, fd, 8 << 20, os.SEEK_HOLE)
    say("hole before the end", os.lseek, fd, (8 << 20) - 1, os.SEEK_HOLE)
    os.fsync(fd)
    tell("blocks are few", os.fstat(fd).st_blocks < 1024)
    os.close(fd)


@question
def fallocate():
    keep, punch, collapse, zero, insert = 1, 2, 8, 16, 32

    def fa(fd, mode, off, n):
        if libc.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(n)):
            e = ctypes.get_errno()
            raise OSError(e, os.strerror(e))
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b"x" * 100000)
    say("grow", fa, fd, 0, 0, 300000)
    tell("size", os.fstat(fd).st_size)
    say("keep the size", fa, fd, keep, 0, 600000)
    tell("size", os.fstat(fd).st_size)
    say("punch", fa, fd, punch | keep, 10000, 20000)
    tell("is", (set(os.pread(fd, 20000, 10000)), os.pread(fd, 2, 9999)))
    say("punch and grow", fa, fd, punch, 0, 10)
    say("zero", fa, fd, zero, 50000, 100)
    tell("is", os.pread(fd, 102, 49999).count(0))
    say("zero and grow", fa, fd, zero, 590000, 100000)
    tell("size", os.fstat(fd).st_size)
    say("length 0", fa, fd, 0, 0, 0)
    say("negative", fa, fd, 0, -1, 5)
    say("past all", fa, fd, 0, (1 << 63) - 10, 100)
    os.close(fd)
    fd = os.open("f", os.O_RDONLY)
    say("O_RDONLY", fa, fd, 0, 0, 5)
    os.close(fd)
    fd = os.open(".", os.O_RDONLY)
    say("a directory", fa, fd, 0, 0, 5)
    os.close(fd)


@question
def copying():
    make("a", bytes(range(256)) * 1000)
    a = os.open("a", os.O_RDWR)
    b = os.open("b", os.O_CREAT | os.O_RDWR, 0o600)
    say("copy_file_range", os.copy_file_range, a, b, 1000, 3, 5)
    say("is", os.pread, b, 12, 0)
    say("past the end", os.copy_file_range, a, b, 10, 256000, 0)
    say("overlapping", os.copy_file_range, a, a, 1000, 0, 500)
    say("in one file", os.copy_file_range, a, a, 1000, 0, 100000)
    say("is", os.pread, a, 3, 100001)
    say("nothing", os.copy_file_range, a, b, 0)
    say("sendfile", os.sendfile, b, a, 0, 777)
    os.close(a)
    a = os.open("a", os.O_RDONLY)
    say("to O_RDONLY", os.copy_file_range, b, a, 10)
    ap = os.open("b", os.O_WRONLY | os.O_APPEND)
    say("to O_APPEND", os.copy_file_range, a, ap, 10)
    d = os.open(".", os.O_RDONLY)
    say("from a directory", os.copy_file_range, d, b, 10)
    for fd in (a, b, ap, d):
        os.close(fd)


@question
def mapping():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b"x" * 8192)
    m = mmap.mmap(fd, 8192)
    os.ftruncate(fd, 5000)
    tell("past the end it is zero", set(m[5000:8192]))
    m[0:5] = b"mmap!"
    tell("read sees it", os.pread(fd, 5, 0))
    os.pwrite(fd, b"write", 100)
    tell("the map sees a write", m[100:105])
    m[6000] = 7
    m.flush()
    os.ftruncate(fd, 8192)
    tell("what was stored past the end", os.pread(fd, 1, 6000))
    os.close(fd)
    os.unlink("f")
    m[1:2] = b"z"
    tell("lives without a name", m[0:3])
    m.close()
    make("r", b"y" * 100)
    fd = os.open("r", os.O_RDONLY)
    say("shared and writable of O_RDONLY", mmap.mmap, fd, 100,
        mmap.MAP_SHARED, mmap.PROT_WRITE)
    p = mmap.mmap(fd, 100, mmap.MAP_PRIVATE)
    p[0:1] = b"p"
    tell("private is private", (p[0:1], read("r")[0:1]))
    os.close(fd)
    e = os.open("e", os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(e, 4096)
    m = mmap.mmap(e, 4096)
    m[10] = 1
    touched("msync", ["r"], m.flush)
    os.close(e)


@question
def syncing():
    fd = os.open("f", os.O_CREAT | os.O_RDWR, 0o600)
    os.write(fd, b"x")
    say("fsync", os.fsync, fd)
    say("fdatasync", os.fdatasync, fd)
    os.close(fd)
    fd = os.open("f", os.O_RDONLY)
    say("fsync O_RDONLY", os.fsync, fd)
    os.close(fd)
    fd = os.open(".", os.O_RDONLY)
    say("fsync of a directory", os.fsync, fd)
    say("syncfs", libc.syncfs, fd)
    os.close(fd)
    for flag in ("O_SYNC", "O_DSYNC", "O_DIRECT"):
        say(flag, opened, "f", os.O_RDWR | getattr(os, flag))
    os.mkfifo("p")
    fd = os.open("p", os.O_RDWR)
    say("fsync of a fifo", os.fsync, fd)
    os.close(fd)
    for advice in ("POSIX_FADV_DONTNEED", "POSIX_FADV_WILLNEED"):
        say(advice, opened, "f", then=lambda fd: os.posix_fadvise(
            fd, 0, 0, getattr(os, advice)))
