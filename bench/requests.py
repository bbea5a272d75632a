#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many requests the usual operations cost, by tagfs's own counters.

 (1) An operation is repeated, and what asking for the counters costs by
     itself is measured and taken off.
 (2) The kernel is as it would be in use: what it knows from an earlier step
     it knows.  Only where "cold" stands the mount is a new one.
 (3) FORGET is counted and shown, and is in no sum: it comes in batches, some
     time later.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True      # the directory of sources stays as it is
import mount as bench               # noqa: E402

ASIDE = ("forget", "batch_forget")


def requests(mnt):
    """{kind: number} so far."""
    return json.loads(os.getxattr(mnt, "tagfs.stats"))["requests"]


def minus(after, before):
    return {kind: n - before.get(kind, 0) for kind, n in after.items()
            if n != before.get(kind, 0)}


class Table:
    """A line for each operation that was measured."""

    def __init__(self, mnt):
        self.mnt = mnt
        before = requests(mnt)
        self.asking = minus(requests(mnt), before)              # (1)

    def line(self, name, times, work):
        before = requests(self.mnt)
        work()
        moved = minus(minus(requests(self.mnt), before), self.asking)
        total = sum(n for kind, n in moved.items() if kind not in ASIDE)
        kinds = ", ".join(f"{kind} {n / times:.3g}"
                          for kind, n in sorted(moved.items())
                          if kind not in ASIDE)
        print(f"{name:<32}{total / times:>9.3g}  {kinds}")


# ---- operations ------------------------------------------------------------

def create(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def create_write(path):
    with open(path, "xb", buffering=0) as f:
        f.write(path.encode().ljust(1000, b"x"))    # each another


def append(path):
    with open(path, "ab", buffering=0) as f:
        f.write(b"x")


def read(path):
    with open(path, "rb", buffering=0) as f:
        f.read(4096)


def overwrite(path):
    with open(path, "r+b", buffering=0) as f:
        f.write(b"y")


def quietly(argv, where):
    subprocess.run(argv, cwd=where, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def each(work, paths):
    return lambda: [work(p) for p in paths]


def files(t, top, n):
    """What one file costs."""
    os.mkdir(top)
    a = [f"{top}/a{i}" for i in range(n)]
    b = [f"{top}/b{i}" for i in range(n)]
    t.line("create", n, each(create, a))
    t.line("create, write 1000, close", n, each(create_write, b))
    t.line("stat, just written", n, each(os.stat, b))
    t.line("stat again", n, each(os.stat, b))
    t.line("open, read, close", n, each(read, b))
    t.line("append, close", n, each(append, b))
    t.line("append again", n, each(append, b))
    t.line("overwrite, close", n, each(overwrite, b))
    t.line("rename", n, each(lambda p: os.rename(p, p + "x"), a))
    t.line("rename over", n, lambda: [os.rename(p + "x", q)
                                      for p, q in zip(a, b)])
    t.line("mkdir", n, each(os.mkdir, a))
    t.line("rmdir", n, each(os.rmdir, a))
    t.line("unlink", n, each(os.unlink, b))


def trees(t, args, peer, top):
    """What many files cost at a time."""
    os.mkdir(top)
    for i in range(args.files):
        create(f"{top}/f{i}")
    t.line(f"ls -l of {args.files}", args.files,
           lambda: quietly(["ls", "-l"], top))
    peer.unmount()
    peer.mount()
    t.line(f"ls -l of {args.files}, cold", args.files,
           lambda: quietly(["ls", "-l"], top))
    t.line(f"rm -r of {args.files}", args.files,
           lambda: shutil.rmtree(top))


def repository(t, peer, top, n):
    """git, with n files."""
    if not shutil.which("git"):
        print("SKIPPED git status: no git")
        return
    os.mkdir(top)
    for i in range(n):
        os.makedirs(f"{top}/d{i % 10}", exist_ok=True)
        create_write(f"{top}/d{i % 10}/f{i}")
    quietly(["git", "init", "-q"], top)
    t.line(f"git add of {n}", n, lambda: quietly(["git", "add", "."], top))
    status = ["git", "status"]
    t.line(f"git status of {n}", n, lambda: quietly(status, top))
    t.line(f"git status of {n}, again", n, lambda: quietly(status, top))
    peer.unmount()
    peer.mount()
    t.line(f"git status of {n}, cold", n, lambda: quietly(status, top))


# ---- command line ----------------------------------------------------------

def measure(p, args, work):
    [peer] = bench.choose_peers(p, args, bench.all_peers(args, ""))
    try:
        peer.create(work, args.image)
        peer.mount()
        t = Table(peer.mnt)
        print(f"{'':<32}{'requests':>9}  of them, each per operation "
              "or per file")
        files(t, peer.mnt + "/one", 100)
        trees(t, args, peer, peer.mnt + "/many")
        repository(t, peer, peer.mnt + "/git", 500)
        peer.unmount()
    finally:
        peer.destroy()


def parse():
    p = argparse.ArgumentParser(
        description="Requests that the kernel sends for usual operations.")
    bench.common_options(p)
    p.add_argument("--files", type=int, default=10000,
                   help="files of the large directory (%(default)s)")
    args = p.parse_args()
    args.size = args.size or 64
    bench.settle(p, args)
    args.reads = 1                      # of a phase that does not run here
    args.peers, args.reference = "tagfs", "tagfs"
    return p, args


def main():
    p, args = parse()
    return bench.in_store(args, lambda work: measure(p, args, work))


if __name__ == "__main__":
    sys.exit(main())
