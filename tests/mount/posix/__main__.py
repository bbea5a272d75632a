#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""posix - what a filesystem answers, one line for each question.

	python3 posix DIRECTORY [USER]

Asks what the chapters of POSIX on files promise, and what Linux adds, in a
directory of its own for each question, and prints what came: a value, or the
name of an error.  It judges nothing: the same questions are put to another
filesystem, and the answers compared.  As root, it asks some questions as USER,
65534 if not given.  Answers never have a time, an inode number or a size of
the device in them.
"""
import os
import sys

import paths
import making
import content
import attributes
import access
from ask import QUESTIONS, error, say, tell


def main():
    base = os.path.realpath(sys.argv[1])
    os.umask(0o22)
    os.chmod(base, 0o755)
    for ask in QUESTIONS:
        say.where = ask.__name__.replace("_", " ")
        os.mkdir(os.path.join(base, ask.__name__))
        os.chdir(os.path.join(base, ask.__name__))
        try:
            ask()
        except OSError as e:
            tell("could not be asked further", error(e))
        os.umask(0o22)
    os.chdir("/")


main()
