# SPDX-License-Identifier: GPL-2.0-or-later
"""paths.py - names, paths and what leads astray in them."""
import os
import stat

from ask import question, say, tell, make, read, opened, there, mode_of


@question
def names():
    for length in (1, 254, 255, 256):
        say(f"a name of {length} bytes", opened, "n" * length,
            os.O_CREAT | os.O_RDWR)
        say("it is there", os.path.exists, "n" * length)
    say("mkdir of 256", os.mkdir, "d" * 256)
    say("symlink of 256", os.symlink, "x", "s" * 256)
    say("lookup of 256", there, "z" * 256)
    make("a")
    say("rename to 256", os.rename, "a", "z" * 256)
    say("link to 256", os.link, "a", "z" * 256)
    for name in (b"\xff\xfe", b"\n", b" ", b"a\\b", b"-", b"~", b"\x7f", b"*"):
        say(f"a name {name}", make, name)
    tell("all names", sorted(os.listdir(b".")))
    say("the empty name", there, "")
    say("to make the empty name", opened, "", os.O_CREAT)
    say("to remove the empty name", os.unlink, "")


@question
def long_paths():
    os.mkdir("d")
    say("4095 bytes", there, "d/" + "./" * 2046 + ".")
    say("4096 bytes", there, "d/" + "./" * 2046 + "..")
    here = os.getcwd()
    for _ in range(20):
        os.mkdir("x" * 250)
        os.chdir("x" * 250)
    say("deep inside", make, "file", b"deep")
    tell("is what was written", read("file"))
    say("its path", lambda: len(os.getcwd()) - len(here))
    os.chdir(here)


@question
def not_directories():
    make("f", b"x")
    os.symlink("f", "l")
    for what in ("f/x", "f/", "f/.", "f/..", "l/x", "l/", "no/x", "no/"):
        say(f"stat {what}", lambda: stat.S_IFMT(os.stat(what).st_mode))
        say(f"open {what}", opened, what)
        say(f"create {what}", opened, what, os.O_CREAT | os.O_RDWR)
        say(f"mkdir {what}", os.mkdir, what)
        say(f"rmdir {what}", os.rmdir, what)
        say(f"unlink {what}", os.unlink, what)
        say(f"link to {what}", os.link, "f", what)
        say(f"rename to {what}", os.rename, "f", what)
        for d in ("no",):
            if os.path.isdir(d):
                os.rmdir(d)
        if not os.path.exists("f"):
            make("f", b"x")
    say("chdir to a file", os.chdir, "f")
    say("opendir of a file", os.listdir, "f")


@question
def trailing_slashes():
    os.mkdir("d")
    make("f")
    os.symlink("d", "dl")
    os.symlink("nowhere", "hang")
    say("mkdir e/", os.mkdir, "e/")
    say("rename d/ e2/", os.rename, "d/", "e2/")
    say("rename f to g/", os.rename, "f", "g/")
    say("rename e to h/", os.rename, "e", "h/")
    os.rename("e2", "d")
    say("rmdir dl/", os.rmdir, "dl/")
    say("rmdir dl", os.rmdir, "dl")
    say("unlink dl/", os.unlink, "dl/")
    say("lstat dl/", lambda: stat.S_ISDIR(os.lstat("dl/").st_mode))
    say("readlink dl/", os.readlink, "dl/")
    say("mkdir hang/", os.mkdir, "hang/")
    say("mkdir hang", os.mkdir, "hang")
    say("create through hang", opened, "hang", os.O_CREAT | os.O_RDWR)
    say("symlink x/", os.symlink, "t", "x/")


@question
def dots():
    os.mkdir("d")
    say("rmdir d/.", os.rmdir, "d/.")
    say("rmdir d/..", os.rmdir, "d/..")
    say("unlink .", os.unlink, ".")
    say("unlink d", os.unlink, "d")
    say("rename . to x", os.rename, ".", "x")
    say("rename d to .", os.rename, "d", ".")
    say("rename d/.. to x", os.rename, "d/..", "x")
    say("mkdir .", os.mkdir, ".")
    say("mkdir ..", os.mkdir, "..")
    say("open . for writing", opened, ".", os.O_RDWR)
    say("create .", opened, ".", os.O_CREAT)
    say("link d", os.link, "d", "e")
    tell("d is d/. is d/x/..", len({os.stat(n).st_ino for n in
                                   ("d", "d/.", "d/../d")}))


@question
def symlinks():
    for length in (1, 59, 60, 255, 4094, 4095, 4096):
        say(f"a target of {length}", os.symlink, "t" * length, f"l{length}")
        say("read", lambda: len(os.readlink(f"l{length}")))
        say("size", lambda: os.lstat(f"l{length}").st_size)
    say("an empty target", os.symlink, "", "empty")
    os.symlink("loop", "loop")
    for f in (there, opened, os.listdir, os.chdir):
        say(f"a loop, {f.__name__}", f, "loop")
    os.symlink("c0", "first")
    for i in range(45):
        os.symlink(f"c{i + 1}", f"c{i}")
    make("c45")
    say("45 links in a row", there, "c0")
    say("40 links in a row", lambda: os.stat("c5").st_size)
    say("41 links in a row", lambda: os.stat("c4").st_size)
    say("mode", mode_of, "loop")
    say("O_NOFOLLOW", opened, "first", os.O_RDONLY | os.O_NOFOLLOW)
    say("O_EXCL through a link", opened, "first", os.O_CREAT | os.O_EXCL)
    say("readlink of a file", os.readlink, "c45")
    say("readlink of a directory", os.readlink, ".")
    say("link to a link", os.link, "first", "hard", follow_symlinks=False)
    say("is one", lambda: os.readlink("hard"))
    say("count", lambda: os.lstat("first").st_nlink)
    say("chown of a link", os.chown, "loop", -1, -1, follow_symlinks=False)
    say("over a file", os.symlink, "x", "c45")
    say("truncate through a link", os.truncate, "c44", 5)
    say("is of the file", lambda: os.stat("c45").st_size)
