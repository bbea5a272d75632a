#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""terminal.py ANSWERS COMMAND... - run it on a terminal, answer its questions,
and print what it showed; the exit status is its own.

Each comma of ANSWERS divides what is typed at one question; ^C is that key, and
TERM the signal.  What comes after the last answer is not answered."""
import os
import pty
import re
import select
import signal
import sys
import time

QUESTION = re.compile(rb"\? $")
SECONDS = 60


def main():
    answers = [a for a in sys.argv[1].split(",") if a]
    pid, fd = pty.fork()
    if not pid:
        os.execvp(sys.argv[2], sys.argv[2:])
    seen, fresh, end = b"", b"", time.monotonic() + SECONDS
    while time.monotonic() < end:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            got = os.read(fd, 65536)
        except OSError:
            break
        if not got:
            break
        seen += got
        fresh += got
        if QUESTION.search(fresh) and answers:
            fresh = b""
            answer = answers.pop(0)
            if answer == "TERM":
                os.kill(pid, signal.SIGTERM)
            else:
                os.write(fd, b"\x03" if answer == "^C" else
                         answer.encode() + b"\n")
    else:
        os.kill(pid, signal.SIGKILL)
        print("it did not end")
    sys.stdout.buffer.write(seen.replace(b"\r\n", b"\n"))
    sys.stdout.flush()
    status = os.waitpid(pid, 0)[1]
    sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)


main()
