# SPDX-License-Identifier: GPL-2.0-or-later
"""making.py - making, naming, renaming and removing."""
import ctypes
import os
import socket
import stat

from ask import (libc, question, say, tell, make, read, opened, mode_of, touched,
                 as_user)


def name_it(fd, name):
    at, follow = -100, 0x400
    if libc.linkat(at, f"/proc/self/fd/{fd}".encode(), at, name.encode(),
                   follow):
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))


@question
def open_flags():
    make("f", b"content")
    os.mkdir("d")
    os.symlink("nowhere", "hang")
    os.mkfifo("p")
    say("O_CREAT of what exists", opened, "f", os.O_CREAT)
    say("O_EXCL of what exists", opened, "f", os.O_CREAT | os.O_EXCL)
    say("O_EXCL of a dangling link", opened, "hang", os.O_CREAT | os.O_EXCL)
    say("no O_CREAT of what does not", opened, "g")
    say("a directory, O_RDONLY", opened, "d")
    say("a directory, O_WRONLY", opened, "d", os.O_WRONLY)
    say("a directory, O_CREAT", opened, "d", os.O_CREAT)
    say("a directory, O_TRUNC", opened, "d", os.O_TRUNC)
    say("a file, O_DIRECTORY", opened, "f", os.O_DIRECTORY)
    say("a file, O_DIRECTORY and O_CREAT", opened, "n",
        os.O_DIRECTORY | os.O_CREAT)
    say("O_RDONLY and O_TRUNC", opened, "f", os.O_RDONLY | os.O_TRUNC)
    tell("size after it", os.stat("f").st_size)
    say("a fifo nobody reads", opened, "p", os.O_WRONLY | os.O_NONBLOCK)
    say("a fifo, O_RDONLY", opened, "p", os.O_RDONLY | os.O_NONBLOCK)
    say("O_PATH", opened, "f", os.O_PATH)
    say("O_PATH, read", opened, "f", os.O_PATH, then=lambda fd: os.read(fd, 1))
    say("O_NOATIME", opened, "f", os.O_NOATIME)
    say("O_TMPFILE", opened, ".", os.O_TMPFILE | os.O_RDWR,
        then=lambda fd: os.fstat(fd).st_nlink)
    say("O_TMPFILE, O_RDONLY", opened, ".", os.O_TMPFILE)

    def named(fd):
        os.write(fd, b"tmp")
        name_it(fd, "named")
        return read("named"), os.fstat(fd).st_nlink
    say("O_TMPFILE gets a name", opened, ".", os.O_TMPFILE | os.O_RDWR,
        then=named)
    say("O_TMPFILE and O_EXCL gets none", opened, ".",
        os.O_TMPFILE | os.O_RDWR | os.O_EXCL,
        then=lambda fd: name_it(fd, "other"))


@question
def modes_of_new():
    for mask in (0, 0o22, 0o777):
        os.umask(mask)
        for i, mode in enumerate((0o777, 0o666, 0o7777, 0, 0o2755)):
            say(f"mask {mask:o}, file {mode:o}", opened, f"f{mask}{i}",
                os.O_CREAT | os.O_WRONLY, mode)
            tell("is", mode_of(f"f{mask}{i}"))
            say(f"mask {mask:o}, directory {mode:o}", os.mkdir, f"d{mask}{i}",
                mode)
            tell("is", mode_of(f"d{mask}{i}"))
            os.mkfifo(f"p{mask}{i}", mode)
            tell("fifo", mode_of(f"p{mask}{i}"))
    os.umask(0o22)
    os.mkdir("g")
    os.chown("g", -1, 12345) if not os.getuid() else None
    os.chmod("g", 0o2777)
    make("g/f")
    os.mkdir("g/d")
    tell("group of a file in a setgid directory",
         os.stat("g/f").st_gid == os.stat("g").st_gid)
    tell("of a directory", os.stat("g/d").st_gid == os.stat("g").st_gid)
    tell("which is setgid itself", mode_of("g/d"))

    def user():
        os.umask(0)
        opened("g/u", os.O_CREAT | os.O_WRONLY, 0o2777)
        tell("setgid executable of another group", mode_of("g/u"))
        os.mkdir("g/ud", 0o777)
        tell("directory", mode_of("g/ud"))
    os.chmod("g", 0o2777)
    as_user(user)


@question
def special_files():
    os.mkfifo("p", 0o640)
    tell("fifo", (mode_of("p"), os.stat("p").st_size))
    for kind, name in ((stat.S_IFCHR, "c"), (stat.S_IFBLK, "b")):
        say(f"device {name}", os.mknod, name, kind | 0o600,
            os.makedev(300, 70000))
        say("numbers", lambda: (os.major(os.stat(name).st_rdev),
                                os.minor(os.stat(name).st_rdev)))
    s = socket.socket(socket.AF_UNIX)
    say("socket", s.bind, "s")
    say("mode", lambda: oct(stat.S_IFMT(os.stat("s").st_mode)))
    say("open it", opened, "s", os.O_RDWR)
    s.close()
    say("mknod of a file", os.mknod, "f", stat.S_IFREG | 0o644)
    say("again", os.mknod, "f", stat.S_IFREG | 0o644)
    say("mknod of a directory", os.mknod, "d", stat.S_IFDIR | 0o755)
    say("mkfifo of what exists", os.mkfifo, "p")
    say("truncate a fifo", os.truncate, "p", 0)

    def user():
        say("a device", os.mknod, "u", stat.S_IFCHR | 0o600, 0)
        say("a fifo", os.mkfifo, "up")
    os.chmod(".", 0o777)
    as_user(user)


@question
def links():
    make("f", b"x")
    os.mkdir("d")
    say("link", os.link, "f", "g")
    tell("count", os.stat("f").st_nlink)
    tell("one inode", os.stat("f").st_ino == os.stat("g").st_ino)
    say("to what exists", os.link, "f", "g")
    say("to a directory", os.link, "f", "d")
    say("of nothing", os.link, "no", "n")
    say("of a directory", os.link, "d", "e")
    say("across filesystems", os.link, "f", "/proc/x")
    touched("link", ["f", "."], os.link, "f", "h")
    touched("unlink", ["f", "."], os.unlink, "h")
    os.unlink("f")
    tell("the other stays", (read("g"), os.stat("g").st_nlink))
    fd = os.open("g", os.O_RDWR)
    os.unlink("g")
    tell("open without a name", (os.fstat(fd).st_nlink, os.read(fd, 5)))
    say("is written", os.pwrite, fd, b"more", 100)
    say("and read", os.pread, fd, 4, 100)
    say("gets a name again", name_it, fd, "again")
    os.close(fd)
    make("many")
    n = 0
    for n in range(1000):
        os.link("many", f"many{n}")
    tell("1001 names", os.stat("many").st_nlink)


@question
def removing():
    os.mkdir("d")
    make("d/f")
    say("rmdir of a full one", os.rmdir, "d")
    say("rmdir of a file", os.rmdir, "d/f")
    say("unlink of a directory", os.unlink, "d")
    say("unlink of nothing", os.unlink, "n")
    say("rmdir of nothing", os.rmdir, "n")
    os.unlink("d/f")
    touched("rmdir", ["."], os.rmdir, "d")
    os.mkdir("e")
    os.mkdir("e/in")
    tell("links of a directory", os.stat("e").st_nlink)
    fd = os.open("e/in", os.O_RDONLY)
    os.rmdir("e/in")
    tell("and without it", os.stat("e").st_nlink)
    tell("one that is removed", os.fstat(fd).st_nlink)
    say("has entries", os.listdir, fd)
    say("takes a file", opened, f"/proc/self/fd/{fd}/x", os.O_CREAT | os.O_RDWR)
    os.close(fd)
    os.mkdir("cwd")
    here = os.getcwd()
    os.chdir("cwd")
    os.rmdir("../cwd")
    say("getcwd in a removed one", os.getcwd)
    say("create in it", opened, "x", os.O_CREAT | os.O_RDWR)
    say("its parent", lambda: os.stat("..").st_nlink > 0)
    os.chdir(here)


@question
def renaming():
    make("f", b"f")
    make("g", b"g")
    os.mkdir("d")
    os.mkdir("d/e")
    os.mkdir("empty")
    say("of nothing", os.rename, "no", "x")
    say("file over file", os.rename, "f", "g")
    tell("is", (read("g"), os.path.exists("f")))
    say("file over directory", os.rename, "g", "empty")
    say("directory over file", os.rename, "empty", "g")
    say("directory over full directory", os.rename, "empty", "d")
    say("directory over empty directory", os.rename, "d", "empty")
    tell("is", os.listdir("empty"))
    say("into itself", os.rename, "empty", "empty/x")
    say("over its ancestor", os.rename, "empty/e", "empty")
    say("to itself", os.rename, "empty", "empty")
    os.link("g", "h")
    say("to another name of the same", os.rename, "g", "h")
    tell("both stay", sorted(os.listdir(".")))
    os.mkdir("to")
    touched("to another directory", [".", "to", "empty"], os.rename, "empty",
            "to/moved")
    tell("its ..", os.stat("to/moved/..").st_ino == os.stat("to").st_ino)
    tell("links", (os.stat(".").st_nlink, os.stat("to").st_nlink))
    touched("of a file", ["."], os.rename, "g", "k")
    say("across filesystems", os.rename, "k", "/proc/x")
    fd = os.open("h", os.O_RDONLY)
    make("over", b"new")
    os.rename("over", "h")
    tell("the replaced, open", (os.read(fd, 9), read("h")))
    os.close(fd)


@question
def rename_flags():
    def rename2(a, b, flags):
        if libc.renameat2(-100, a.encode(), -100, b.encode(), flags):
            e = ctypes.get_errno()
            raise OSError(e, os.strerror(e))
    noreplace, exchange, whiteout = 1, 2, 4
    make("a", b"a")
    make("b", b"b")
    os.mkdir("d")
    os.mkdir("d/e")
    say("NOREPLACE of what exists", rename2, "a", "b", noreplace)
    say("NOREPLACE", rename2, "a", "c", noreplace)
    say("EXCHANGE with nothing", rename2, "c", "no", exchange)
    say("EXCHANGE", rename2, "c", "b", exchange)
    tell("is", (read("b"), read("c")))
    say("EXCHANGE file and directory", rename2, "c", "d", exchange)
    tell("is", (os.listdir("c"), read("d"), os.stat(".").st_nlink))
    say("EXCHANGE with what is inside", rename2, "c", "c/e", exchange)
    say("both", rename2, "d", "x", noreplace | exchange)
    say("unknown", rename2, "d", "x", 64)
    if not os.getuid():
        say("WHITEOUT", rename2, "d", "x", whiteout)
        tell("is", (mode_of("d"), os.stat("d").st_rdev, read("x")))
