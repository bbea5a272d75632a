#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an fsync costs tagfs on its device, and how long recovery takes.

 (1) Costs are differences of monotonic counters, read from tagfs.stats of the
     root before and after a load on one mount.  What the mount does meanwhile
     for other reasons, a checkpoint that is due, is in them.
 (2) Before a load all earlier work is made permanent, so none of it is in
     what the load costs.
 (3) A counter that this tagfs does not have is shown as "-".
 (4) The daemon that is killed is the one child that this process has.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True      # the directory of sources stays as it is
import mount as bench               # noqa: E402

KIB = 1 << 10
DEVICE = ("raw_writes", "raw_write_bytes", "raw_flushes")
LOG = ("commits", "log_blocks", "log_bytes", "checkpoints")


# ---- counters ------------------------------------------------------------

def counters(mnt):
    """The counters of (1); those that are not there are None: (3)."""
    stats = json.loads(os.getxattr(mnt, "tagfs.stats"))
    device = stats.get("device", {})
    return ({name: device.get(name) for name in DEVICE} |
            {name: stats.get(name) for name in LOG})


def settle(mnt):
    """(2)"""
    root = os.open(mnt, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(root)
    finally:
        os.close(root)


def minus(after, before):
    return {name: None if None in (value, before[name])
            else value - before[name] for name, value in after.items()}


def counted(args, phase, mnt):
    """Run a phase: what load.c says of it, and the counters it moved."""
    settle(mnt)
    before = counters(mnt)
    out = bench.load(args, phase, mnt)
    out["counters"] = minus(counters(mnt), before)
    return out


def per(value, count):
    return None if value is None else value / count


def costs(out):
    """A line of the table from what counted() has returned."""
    moved, syncs, ops = out["counters"], out["syncs"], out["ops"]
    return {
        "rate": ops / out["seconds"],
        "writes": per(moved["raw_writes"], syncs),
        "bytes": per(moved["raw_write_bytes"], syncs),
        "flushes": per(moved["raw_flushes"], syncs),
        "commits": per(moved["commits"], syncs),
        "log_blocks": per(moved["log_blocks"], ops),
        "log_bytes": per(moved["log_bytes"], ops),
        "checkpoints": moved["checkpoints"],
    }


# ---- recovery ------------------------------------------------------------

def serving(mnt, outside):
    """Whether stat() of the mount's root succeeds."""
    with contextlib.suppress(OSError):
        return os.stat(mnt).st_dev != outside
    return False


def mount_time(peer):
    """Mount; seconds from the start of the program to the first answer."""
    outside = os.stat(peer.mnt).st_dev
    start = time.monotonic()
    proc = subprocess.Popen(peer.fill(peer.mount_argv),
                            stdin=subprocess.DEVNULL)
    try:
        bench.wait_until(lambda: serving(peer.mnt, outside) or
                         proc.poll() is not None, bench.LIMIT)
        seconds = time.monotonic() - start
    finally:
        status = bench.wait_for(proc, bench.PATIENCE)
    if status or not serving(peer.mnt, outside):
        raise bench.Failure(f"the mount does not serve: status {status}")
    return seconds


def kill_daemon(peer):
    """The daemon ends as if it had crashed: (4)."""
    pids = bench.children()
    if len(pids) != 1:
        raise bench.Failure(f"one daemon expected, there are {len(pids)}")
    os.kill(pids[0], signal.SIGKILL)
    peer.unmount()


def recovery(args, peer):
    """Leave unfinished work behind, kill, mount, and look at the data."""
    peer.unmount()
    clean = mount_time(peer)
    out = counted(args, "churn", peer.mnt)
    kill_daemon(peer)
    if args.cold:
        bench.drop_host_caches()
    seconds = mount_time(peer)
    bench.load(args, "seqread", peer.mnt)       # fails on other bytes
    return {"seconds": seconds, "clean": clean, "cold": args.cold,
            "written_mib": args.size, "syncs": out["syncs"],
            "counters": out["counters"]}


# ---- output --------------------------------------------------------------

COLUMNS = (     # key, heading, unit, divisor, digits
    ("rate", "rate", "op/s", 1, 0),
    ("writes", "writes", "/fsync", 1, 2),
    ("bytes", "written", "KiB/fsync", KIB, 1),
    ("flushes", "flushes", "/fsync", 1, 2),
    ("commits", "commits", "/fsync", 1, 2),
    ("log_blocks", "log", "blocks/op", 1, 2),
    ("log_bytes", "log", "bytes/op", 1, 0),
    ("checkpoints", "checkp.", "in all", 1, 0),
)


def number(value, divisor, digits):
    return "-" if value is None else f"{value / divisor:.{digits}f}"


def table(loads):
    yield f"{'':<11}" + "".join(f"{head:>10}" for _, head, *_ in COLUMNS)
    yield f"{'':<11}" + "".join(f"{unit:>10}" for _, _, unit, *_ in COLUMNS)
    for name, line in loads.items():
        yield f"{name:<11}" + "".join(
            f"{number(line[key], divisor, digits):>10}"
            for key, _, _, divisor, digits in COLUMNS)


def recovery_lines(r):
    caches = "dropped" if r["cold"] else "kept"
    log = number(r["counters"]["log_bytes"], KIB * KIB, 1)
    yield (f"Recovery: {r['seconds']:.3f} s from the start of the mount to "
           "the first stat of the root;")
    yield (f"  before it: {r['written_mib']} MiB of random overwrites, "
           f"{r['syncs']} fdatasync, daemon killed,")
    yield (f"  {log} MiB of log and "
           f"{number(r['counters']['checkpoints'], 1, 0)} checkpoints "
           f"meanwhile, host caches {caches};")
    yield f"  a clean mount: {r['clean']:.3f} s; all data read and right."


def report(results):
    lines = list(table(results["loads"])) if results["loads"] else []
    if results["recovery"]:
        lines += ([""] if lines else []) + list(
            recovery_lines(results["recovery"]))
    return "\n".join(lines) + "\n"


# ---- command line --------------------------------------------------------

def parse():
    p = argparse.ArgumentParser(
        description="What tagfs does to its device for an fsync, and how "
        "long recovery takes.")
    bench.common_options(p)
    p.add_argument("--no-loads", action="store_true", help="recovery alone")
    p.add_argument("--no-recovery", action="store_true", help="loads alone")
    p.add_argument("--cold", action="store_true",
                   help="drop the host's caches before recovery")
    p.add_argument("--json", metavar="FILE", help="the same as JSON")
    args = p.parse_args()
    bench.settle(p, args)
    args.files, args.reads = 1, 1       # of phases that do not run here
    args.peers, args.reference = "tagfs", "tagfs"
    return p, args


def measure(args, peer, work):
    results = {"loads": {}, "recovery": None}
    try:
        peer.create(work, args.image)
        peer.mount()
        bench.load(args, "seqwrite", peer.mnt)
        for phase in () if args.no_loads else bench.SYNC:
            bench.note(f"load: {phase.name}")
            results["loads"][phase.name] = costs(
                counted(args, phase.name, peer.mnt))
        if not args.no_recovery:
            bench.note("recovery")
            results["recovery"] = recovery(args, peer)
        peer.unmount()
    finally:
        peer.destroy()
    return results


def figures(p, args, work):
    [peer] = bench.choose_peers(p, args, bench.all_peers(args, ""))
    results = measure(args, peer, work)
    sys.stdout.write(report(results))
    if args.json:
        with open(args.json, "w") as f:
            f.write(json.dumps(results, indent=1) + "\n")


def main():
    p, args = parse()
    return bench.in_store(args, lambda work: figures(p, args, work))


if __name__ == "__main__":
    sys.exit(main())
