# SPDX-License-Identifier: GPL-2.0-or-later
"""ask.py - questions are asked, and the answers printed."""
import ctypes
import errno
import os
import stat
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
USER = int(sys.argv[2]) if len(sys.argv) > 2 else 65534
QUESTIONS = []
TICK = 0.02     # longer than the kernel's coarse clock stands still


def question(f):
    QUESTIONS.append(f)
    return f


def error(e):
    return errno.errorcode.get(e.errno, str(e.errno))


def say(what, f, *args, **more):
    """Print what a call gives."""
    try:
        got = f(*args, **more)
    except OSError as e:
        got = error(e)
    print(f"{say.where}: {what}: {got!r}")
    return got


def tell(what, value):
    print(f"{say.where}: {what}: {value!r}")


def make(name, content=b"", mode=0o644):
    fd = os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)
    os.write(fd, content)
    os.fchmod(fd, mode)
    os.close(fd)


def read(name):
    with open(name, "rb") as f:
        return f.read()


def opened(name, flags=os.O_RDONLY, mode=0o600, then=lambda fd: "opened"):
    fd = os.open(name, flags, mode)
    try:
        return then(fd)
    finally:
        os.close(fd)


def there(name):
    return bool(os.stat(name))


def mode_of(name):
    return oct(os.lstat(name).st_mode)


def times(name):
    st = os.lstat(name)
    return {"atime": st.st_atime_ns, "mtime": st.st_mtime_ns,
            "ctime": st.st_ctime_ns}


def touched(what, names, f, *args, **more):
    """Which times of which names a call changes."""
    before = {n: times(n) for n in names}
    time.sleep(TICK)
    try:
        f(*args, **more)
        got = "done"
    except OSError as e:
        got = error(e)
    changed = []
    for n in names:
        try:
            after = times(n)
        except OSError as e:
            changed.append(f"{n} {error(e)}")
            continue
        changed += [f"{n} {t}" for t in after if after[t] != before[n][t]]
    print(f"{say.where}: {what}: {got}, {', '.join(changed) or 'no time'}")


def as_user(f, *args):
    """As USER, in a child; its answers are printed by it."""
    if os.getuid():
        return
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setgroups([])
            os.setgid(USER)
            os.setuid(USER)
            say.where += " as a user"
            f(*args)
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        tell("as a user", "the questions could not be asked")
