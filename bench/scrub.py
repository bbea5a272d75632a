#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast a scrub of a mounted tagfs is, and what others lose by one.

 (1) Speed is relative to `cat` of the raw image, each with the host's caches
     dropped before it, one after the other within a round: bytes of files
     verified, and bytes of the image that are there, each per second.
 (2) The load beside it runs for a fixed time, without a scrub and with one of
     the default rate in turns, and a ratio is formed within a round alone.  A
     scrub that ends meanwhile is started again.
 (3) The load asks the daemon for every byte: its pages are dropped before it
     reads them again.  Time is taken for each operation.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True      # the directory of sources stays as it is
import mount as bench               # noqa: E402

MIB = 1 << 20
PAGE = 4096


def ctl(args, *words):
    """tagfsctl; what it says as JSON."""
    out = subprocess.run([args.ctl, "scrub", *words, "--json"], check=False,
                         stdout=subprocess.PIPE, timeout=bench.LIMIT)
    if not out.stdout:      # 1 is also the status of one that was cancelled
        raise bench.Failure(f"tagfsctl scrub {words[0]}: status "
                            f"{out.returncode}")
    return json.loads(out.stdout or b"{}")


def there(image):
    """Bytes that the image really has."""
    return os.stat(image).st_blocks * 512


# ---- alone ---------------------------------------------------------------

def cat(image):
    bench.drop_host_caches()
    start = time.monotonic()
    with open(os.devnull, "wb") as null:
        subprocess.run(["cat", image], check=True, stdout=null,
                       timeout=bench.LIMIT)
    return there(image) / MIB / (time.monotonic() - start)


def scrub(args, mnt):
    bench.drop_host_caches()
    start = time.monotonic()
    ctl(args, "start", "--rate", "0", mnt)
    while ctl(args, "status", mnt)["state"] == "running":
        time.sleep(0.01)
    seconds = time.monotonic() - start
    status = ctl(args, "status", mnt)
    if status["healed"] or status["uncorrectable"]:
        raise bench.Failure("a scrub has found something")
    return status["bytes"] / MIB / seconds


# ---- beside a load -------------------------------------------------------

class Load:
    """Reads of single pages, and a write with fdatasync for every 64: (3)."""

    def __init__(self, mnt, seed):
        self.data = os.open(os.path.join(mnt, "data"), os.O_RDONLY)
        self.log = os.open(os.path.join(mnt, "beside"),
                           os.O_WRONLY | os.O_CREAT)
        self.pages = os.fstat(self.data).st_size // PAGE
        self.random = random.Random(seed)

    def operation(self, n):
        if n % 64 == 63:
            os.pwrite(self.log, bytes(PAGE), n // 64 % 256 * PAGE)
            os.fdatasync(self.log)
            return
        at = self.random.randrange(self.pages) * PAGE
        os.posix_fadvise(self.data, at, PAGE, os.POSIX_FADV_DONTNEED)
        if len(os.pread(self.data, PAGE, at)) != PAGE:
            raise bench.Failure("a read is short")

    def run(self, seconds, between):
        """Seconds that each operation took."""
        took, n = [], 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.monotonic()
            self.operation(n)
            took.append(time.monotonic() - start)
            n += 1
            if not n % 256:
                between()
        return sorted(took)

    def close(self):
        os.close(self.data)
        os.close(self.log)


def beside(args, mnt, seed, scrubs):
    """(operations per second, 99.9 %, the longest); (2)"""
    def again():
        if scrubs and ctl(args, "status", mnt)["state"] != "running":
            ctl(args, "start", mnt)

    bench.drop_host_caches()    # or the second of two would find the first's
    load = Load(mnt, seed)
    try:
        again()
        took = load.run(args.seconds, again)
    finally:
        load.close()
        if scrubs:
            subprocess.run([args.ctl, "scrub", "cancel", mnt], check=False,
                           stderr=subprocess.DEVNULL, timeout=bench.LIMIT)
            while ctl(args, "status", mnt)["state"] == "running":
                time.sleep(0.01)
    return (len(took) / sum(took), took[int(len(took) * 0.999)], took[-1])


# ---- the table -----------------------------------------------------------

def spread(ratios):
    return (f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-"
            f"{max(ratios):.2f})")


def report(args, alone, loads):
    middle = statistics.median
    print(f"Scrub of {args.size} MiB, store on "
          f"{bench.store_type(args.dir)}, median of {args.rounds} rounds:")
    print(f"{'cat of the image':<34}"
          f"{middle(c for c, _ in alone):>8.0f} MiB/s")
    print(f"{'scrub, no limit':<34}"
          f"{middle(s for _, s in alone):>8.0f} MiB/s"
          f"{spread([s / c for c, s in alone]):>20}")
    for name, unit, factor, i in (
            ("load beside", "op/s ", 1, 0),
            ("  99.9 % of operations within", "ms   ", 1000, 1),
            ("  the longest", "ms   ", 1000, 2)):
        without = [a[i] * factor for a, _ in loads]
        with_it = [b[i] * factor for _, b in loads]
        print(f"{name + ', no scrub':<34}{middle(without):>8.1f} {unit}")
        print(f"{name + ', scrub':<34}{middle(with_it):>8.1f} {unit}"
              f"{spread([b / a for a, b in zip(without, with_it)]):>20}")
    print(f"the longest of all, with a scrub: "
          f"{max(b[2] for _, b in loads) * 1000:.1f} ms, without: "
          f"{max(a[2] for a, _ in loads) * 1000:.1f} ms")


def measure(p, args, work):
    [peer] = bench.choose_peers(p, args, bench.all_peers(args, ""))
    alone, loads = [], []
    try:
        peer.create(work, args.image)
        peer.mount()
        bench.load(args, "seqwrite", peer.mnt)
        for number in range(args.rounds):
            bench.note(f"round {number + 1}")
            pair = (cat(peer.image), scrub(args, peer.mnt))
            alone.append(pair)
            turn = [False, True][::1 if number % 2 else -1]
            got = {with_it: beside(args, peer.mnt, number, with_it)
                   for with_it in turn}
            loads.append((got[False], got[True]))
        peer.unmount()
        report(args, alone, loads)
    finally:
        peer.destroy()


def parse():
    p = argparse.ArgumentParser(
        description="Scrubs: speed, and what others lose by one.")
    bench.common_options(p)
    p.add_argument("--ctl", metavar="FILE", help="another tagfsctl")
    p.add_argument("--rounds", type=int, help="(5, quick: 1)")
    p.add_argument("--seconds", type=float, help="of the load (4, quick: 2)")
    args = p.parse_args()
    bench.settle(p, args)
    args.image = args.size + args.size // 8 + 256
    args.ctl = args.ctl or os.path.join(args.build, "tagfsctl")
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.seconds = args.seconds or (2 if args.quick else 4)
    args.files, args.reads = 1, 1       # of phases that do not run here
    args.peers, args.reference = "tagfs", "tagfs"
    return p, args


def main():
    p, args = parse()
    return bench.in_store(args, lambda work: measure(p, args, work))


if __name__ == "__main__":
    sys.exit(main())
