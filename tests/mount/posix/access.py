# SPDX-License-Identifier: GPL-2.0-or-later
"""access.py - who may do what, extended attributes, locks, lists."""
import fcntl
import os
import stat
import struct
import sys

from ask import question, error, say, tell, make, opened, there, as_user, USER


@question
def permissions():
    if os.getuid():
        return
    os.chmod(".", 0o755)
    for mode in range(8):
        make(f"o{mode}", b"x", mode)
        make(f"u{mode}", b"x", mode << 6)
        os.chown(f"u{mode}", USER, USER)
        make(f"g{mode}", b"x", mode << 3)
        os.chown(f"g{mode}", 0, USER)
        os.mkdir(f"d{mode}", 0o700)
        make(f"d{mode}/f", b"x")
        os.chmod(f"d{mode}", mode)

    def user():
        for mode in range(8):
            for who in "oug":
                name = f"{who}{mode}"
                answers = [os.access(name, a) for a in (4, 2, 1)]
                for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
                    try:
                        answers.append(opened(name, flags))
                    except OSError as e:
                        answers.append(error(e))
                tell(name, answers)
            d = f"d{mode}"
            say(f"list {d}", os.listdir, d)
            say(f"stat in {d}", lambda: os.stat(d + "/f").st_size)
            say(f"create in {d}", make, d + "/new")
            say(f"unlink in {d}", os.unlink, d + "/f")
            say(f"chdir {d}", lambda: os.path.realpath(d) and
                os.access(d, os.X_OK))
        say("create where he may not", make, "x")
        say("mkdir where he may not", os.mkdir, "x")
        say("rename where he may not", os.rename, "o7", "x")
        say("link where he may not", os.link, "o7", "x")
        say("truncate what he may not", os.truncate, "o5", 0)
        say("truncate what he may", os.truncate, "o6", 0)
    as_user(user)


@question
def sticky():
    if os.getuid():
        return
    os.mkdir("s", 0o777)
    os.chmod("s", 0o1777)
    make("s/root", mode=0o666)
    make("s/user", mode=0o666)
    os.chown("s/user", USER, USER)
    os.mkdir("s/dir", 0o777)

    def user():
        say("unlink of root's", os.unlink, "s/root")
        say("rename of root's", os.rename, "s/root", "s/x")
        say("rename over root's", os.rename, "s/user", "s/root")
        say("rmdir of root's", os.rmdir, "s/dir")
        say("unlink of his own", os.unlink, "s/user")
    as_user(user)


@question
def attributes():
    make("f")
    os.mkdir("d")
    os.symlink("f", "l")
    os.mkfifo("p")
    say("set", os.setxattr, "f", "user.a", b"value")
    say("get", os.getxattr, "f", "user.a")
    tell("list", sorted(os.listxattr("f")))
    say("create again", os.setxattr, "f", "user.a", b"2", os.XATTR_CREATE)
    say("replace nothing", os.setxattr, "f", "user.b", b"2", os.XATTR_REPLACE)
    say("replace", os.setxattr, "f", "user.a", b"2", os.XATTR_REPLACE)
    say("empty", os.setxattr, "f", "user.e", b"")
    say("is", os.getxattr, "f", "user.e")
    say("remove", os.removexattr, "f", "user.a")
    say("remove again", os.removexattr, "f", "user.a")
    say("get it", os.getxattr, "f", "user.a")
    say("a directory", os.setxattr, "d", "user.a", b"x")
    say("a link", os.setxattr, "l", "user.a", b"x", follow_symlinks=False)
    say("a fifo", os.setxattr, "p", "user.a", b"x")
    say("no such class", os.setxattr, "f", "nothing.a", b"x")
    say("no class", os.setxattr, "f", "plain", b"x")
    say("a bare class", os.setxattr, "f", "user.", b"x")
    say("255 bytes of name", os.setxattr, "f", "user." + "n" * 250, b"x")
    say("256 bytes of name", os.setxattr, "f", "user." + "n" * 251, b"x")
    say("2000 bytes", os.setxattr, "f", "user.k", b"k" * 2000)
    say("is", lambda: len(os.getxattr("f", "user.k")))
    say("too large for any", os.setxattr, "f", "user.h", b"h" * 65537)
    if not os.getuid():
        say("trusted", os.setxattr, "f", "trusted.t", b"x")
        os.chmod("f", 0o644)

        def user():
            tell("sees", sorted(os.listxattr("f")))
            say("reads trusted", os.getxattr, "f", "trusted.t")
            say("writes user.", os.setxattr, "f", "user.u", b"x")
            say("reads user.", os.getxattr, "f", "user.e")
        as_user(user)



@question
def locks():
    make("f", b"x" * 100)
    fd = os.open("f", os.O_RDWR)

    def child(f):
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            try:
                f(os.open("f", os.O_RDWR))
                sys.stdout.flush()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    def try_lock(other):
        for start in (0, 10, 50):
            say(f"of another, at {start}", fcntl.lockf, other,
                fcntl.LOCK_EX | fcntl.LOCK_NB, 5, start)
            say("shared", fcntl.lockf, other, fcntl.LOCK_SH | fcntl.LOCK_NB, 5,
                start)

    def try_flock(other):
        say("flock of another", fcntl.flock, other,
            fcntl.LOCK_EX | fcntl.LOCK_NB)
        say("shared", fcntl.flock, other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    say("lock", fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0)
    say("shared", fcntl.lockf, fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 10, 50)
    child(try_lock)
    say("part of it", fcntl.lockf, fd, fcntl.LOCK_UN, 5, 0)
    child(try_lock)
    os.close(os.open("f", os.O_RDONLY))
    child(try_lock)
    say("flock", fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    child(try_flock)
    say("to shared", fcntl.flock, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    child(try_flock)
    ofd = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 10, 0)
    say("of the open file", lambda: fcntl.fcntl(fd, 37, ofd) is not None)
    second = os.open("f", os.O_RDWR)
    say("of a second one", lambda: fcntl.fcntl(second, 37, ofd) is not None)
    os.close(second)
    os.close(fd)
    r = os.open("f", os.O_RDONLY)
    say("exclusive on O_RDONLY", fcntl.lockf, r, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(r)


@question
def directories():
    os.mkdir("d")
    for i in range(500):
        make(f"d/{i}")
    tell("all are listed", sorted(os.listdir("d"), key=int) ==
         [str(i) for i in range(500)])
    seen = []
    with os.scandir("d") as it:
        for e in it:
            seen.append(e.name)
            os.unlink("d/" + e.name)
    tell("removed while listed", (len(seen), len(set(seen)), os.listdir("d")))
    seen = []
    for i in range(100):
        make(f"d/{i}")
    with os.scandir("d") as it:
        for n, e in enumerate(it):
            seen.append(e.name)
            if n < 100:
                make(f"d/new{n}")
    tell("made while listed: none twice", len(seen) == len(set(seen)))
    tell("the old ones are there", set(map(str, range(100))) <= set(seen))
    kinds = {}
    os.mkdir("k")
    make("k/f")
    os.mkdir("k/d")
    os.symlink("x", "k/l")
    os.mkfifo("k/p")
    with os.scandir("k") as it:
        for e in it:
            kinds[e.name] = (e.is_file(follow_symlinks=False),
                             e.is_dir(follow_symlinks=False), e.is_symlink())
    tell("kinds", sorted(kinds.items()))
    fd = os.open("k", os.O_RDONLY)
    say("seek to the start", os.lseek, fd, 0, os.SEEK_SET)
    os.close(fd)
    say("of nothing", os.listdir, "no")
