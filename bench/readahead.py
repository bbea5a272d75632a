#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sequential reads of a mounted tagfs by the read-ahead of the mount.

 (1) Each sample has a mount of its own: nothing is cached above the store.
 (2) Sizes take turns within a round, and a ratio is formed within a round
     alone: to the size that the mount has by itself.
 (3) Processor time is the daemon's whole, from the end of the mount to the
     end of the load.
"""

import argparse
import os
import statistics
import sys

sys.dont_write_bytecode = True      # the directory of sources stays as it is
import mount as bench               # noqa: E402

KIB = (128, 256, 512, 1024, 2048, 4096, 8192)


def knob(mnt):
    """The file with the read-ahead of the mount."""
    dev = os.stat(mnt).st_dev
    return (f"/sys/class/bdi/{os.major(dev)}:{os.minor(dev)}/"
            "read_ahead_kb")


def own(peer):
    """What the mount has if nobody interferes."""
    peer.mount()
    try:
        with open(knob(peer.mnt)) as f:
            return int(f.read())
    finally:
        peer.unmount()


def processor_time(pids):
    """Seconds that these processes have used."""
    ticks = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            user, system = f.read().rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / os.sysconf("SC_CLK_TCK")


def sample(args, peer, kib, cold):
    """MiB/s, and seconds of the daemon per GiB."""
    if cold:
        bench.drop_host_caches()
    peer.mount()                                                # (1)
    try:
        with open(knob(peer.mnt), "w") as f:
            f.write(f"{kib}\n")
        daemon = bench.children()
        before = processor_time(daemon)
        out = bench.load(args, "seqread", peer.mnt)
        used = processor_time(daemon) - before                  # (3)
    finally:
        peer.unmount()
    return (args.size / out["seconds"], used * 1024 / args.size)


def rounds(args, peer, sizes, cold):
    """{size: [sample of each round]}: (2)"""
    taken = {kib: [] for kib in sizes}
    for number in range(args.rounds):
        bench.note(f"{'cold' if cold else 'warm'}: round {number + 1}")
        turn = number % len(sizes)
        for kib in sizes[turn:] + sizes[:turn]:
            taken[kib].append(sample(args, peer, kib, cold))
    return taken


def table(taken, ref):
    yield (f"{'KiB':>6}{'MiB/s':>8}{'ratio (range)':>22}"
           f"{'daemon s/GiB':>14}")
    for kib, samples in taken.items():
        r = [s[0] / t[0] for s, t in zip(samples, taken[ref])]
        middle, low, high = statistics.median(r), min(r), max(r)
        cell = f"{middle:.2f} ({low:.2f}-{high:.2f})"
        yield (f"{kib:>6}{statistics.median(s[0] for s in samples):>8.0f}"
               f"{cell:>22}"
               f"{statistics.median(s[1] for s in samples):>14.2f}"
               + ("  the mount's own" if kib == ref else ""))


def measure(p, args, work):
    [peer] = bench.choose_peers(p, args, bench.all_peers(args, ""))
    try:
        peer.create(work, args.image)
        ref = own(peer)
        sizes = sorted(set(args.kib) | {ref})
        peer.mount()
        bench.load(args, "seqwrite", peer.mnt)
        peer.unmount()
        for cold in (False, True):
            print(f"Sequential read, {args.size} MiB, store on "
                  f"{bench.store_type(args.dir)}, host's caches "
                  f"{'dropped' if cold else 'kept'}, median of "
                  f"{args.rounds}:")
            print("\n".join(table(rounds(args, peer, sizes, cold), ref)))
    finally:
        peer.destroy()


def parse():
    p = argparse.ArgumentParser(
        description="Sequential reads by the read-ahead of the mount.")
    bench.common_options(p)
    p.add_argument("--kib", type=int, nargs="+", default=KIB,
                   help="sizes to try (%(default)s)")
    p.add_argument("--rounds", type=int, help="(5, quick: 1)")
    args = p.parse_args()
    bench.settle(p, args)
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.files, args.reads = 1, 1       # of phases that do not run here
    args.peers, args.reference = "tagfs", "tagfs"
    return p, args


def main():
    p, args = parse()
    return bench.in_store(args, lambda work: measure(p, args, work))


if __name__ == "__main__":
    sys.exit(main())
