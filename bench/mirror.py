#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mirror beside one device: tagfs, btrfs, and ext4 on md where there is md.

 (1) Every peer has two loop devices over files of one store, or one of them.
     Peers take turns in each round; a cell is the median of its rounds.
 (2) A share is a mirror's speed by that of the same file system on one device,
     in the same round.
 (3) Reads begin with nothing in the kernel's caches.  The store may be memory
     all the same: then a mirror has no more of it than one device has.
 (4) With a limit every device has that many reads a second of its own, by the
     blkio or io controller of a cgroup that the run is in: reads then wait
     for devices, as they do where legs are disks, and not for processors.
 (5) A resilver is timed by the mount's own state, from the mount on: a leg is
     away while a part of the data is written anew.
"""

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True      # the directory of sources stays as it is
import mount as bench               # noqa: E402

PHASES = (("write", "seqwrite", "MiB/s"), ("read16", "randread16", "op/s"),
          ("read", "seqread", "MiB/s"), ("append8", "append8", "op/s"))
CHANGED = (0, 1, 10, 50, 100)


class Limit:
    """(4)"""

    def __init__(self, reads):
        self.reads, self.dir = reads, None
        old = "/sys/fs/cgroup/blkio"
        root, self.file, self.form = ("/sys/fs/cgroup", "io.max", "riops={}")
        if os.path.isdir(old):
            root, self.file, self.form = (
                old, "blkio.throttle.read_iops_device", "{}")
        if not reads:
            return
        self.root = root
        try:
            self.dir = tempfile.mkdtemp(prefix="tagfs-bench.", dir=root)
            self.enter(self.dir)
        except OSError as e:
            raise bench.Failure(f"--limit: no cgroup: {e}") from e

    @staticmethod
    def enter(group):
        with open(os.path.join(group, "cgroup.procs"), "w",
                  encoding="ascii") as f:
            f.write(str(os.getpid()))

    def add(self, device):
        if not self.dir:
            return
        number = os.stat(device).st_rdev
        with open(os.path.join(self.dir, self.file), "w",
                  encoding="ascii") as f:
            f.write(f"{os.major(number)}:{os.minor(number)} "
                    + self.form.format(self.reads))

    def end(self):
        if self.dir:
            self.enter(self.root)
            os.rmdir(self.dir)


class Peer:
    """A file system over loop devices, made anew for each round."""

    def __init__(self, name, args, work):
        self.name, self.args, self.work = name, args, work
        self.kind, legs = name.split()
        self.n = 1 if legs == "single" else 2
        self.mnt = os.path.join(work, "mnt")
        self.loops = []
        self.array = None       # of md

    def make(self):
        os.makedirs(self.mnt, exist_ok=True)
        for i in range(self.n):
            with open(self.image(i), "wb") as f:
                f.truncate(self.args.image * bench.MIB)
            self.attach(i)
        self.format()
        self.mount()

    def format(self):
        if self.kind == "tagfs":
            bench.run([self.args.mkfs, "-q", "-f"] +
                      ["--mirror"] * (self.n > 1) + self.loops)
        elif self.kind == "btrfs":
            bench.run(["mkfs.btrfs", "-q", "-f", "-d", self.level(), "-m",
                       "raid1" if self.n > 1 else "dup"] + self.loops)
        else:
            if self.n > 1:
                self.array = f"/dev/md/tagfs-bench-{os.getpid()}"
                # Both are zeros: there is nothing to be made equal.
                bench.run(["mdadm", "--create", self.array, "--quiet",
                           "--run", "--assume-clean", "--bitmap=none",
                           "--level=1", f"--raid-devices={self.n}"] +
                          self.loops)
            bench.run(["mkfs.ext4", "-q", "-F", self.array or self.loops[0]])

    def image(self, i):
        return os.path.join(self.work, f"leg{i}")

    def attach(self, i):
        self.loops.append(bench.run(["losetup", "-f", "--show",
                                     self.image(i)]))
        self.args.devices.add(self.loops[-1])

    def level(self):
        return "raid1" if self.n > 1 else "single"

    def mount(self, options=()):
        options = list(options)
        if self.kind != "ext4":
            options += [f"device={d}" for d in self.loops[1:]]
        opt = ["-o", ",".join(options)] if options else []
        if self.kind == "tagfs":
            bench.run([self.args.tagfs] + opt + [self.loops[0], self.mnt])
        else:
            bench.run(["mount", "-t", self.kind] + opt +
                      [self.array or self.loops[0], self.mnt])

    def unmount(self):
        bench.run(["umount", self.mnt])
        if not bench.reap(60):
            raise bench.Failure("the daemon does not end after umount")

    def remount(self):
        self.unmount()
        bench.drop_host_caches()
        self.mount()

    def remove(self):
        if bench.mounted(self.mnt):
            self.unmount()
        if self.array:
            with contextlib.suppress(bench.Failure):
                bench.run(["mdadm", "--stop", self.array])
        for dev in self.loops:
            with contextlib.suppress(bench.Failure):
                bench.run(["losetup", "-d", dev])
        for i in range(self.n):
            with contextlib.suppress(OSError):
                os.unlink(self.image(i))
        self.loops = []


def measure(peer):
    out = {}
    try:
        peer.make()
        for key, phase, unit in PHASES:
            if "read" in phase:
                peer.remount()
            got = bench.load(peer.args, phase, peer.mnt)
            scale = 1 if unit == "op/s" or phase.startswith("rand") else \
                peer.args.size / got["ops"]
            out[key] = got["ops"] * scale / got["seconds"]
    finally:
        peer.remove()
    return out


def resilver(args, work, percent):
    """(5)  Seconds until the leg that was away is current, and MiB of it."""
    peer = Peer("tagfs mirror", args, work)
    try:
        peer.make()
        path = os.path.join(peer.mnt, "data")
        bench.load(args, "seqwrite", peer.mnt)
        peer.unmount()
        bench.run(["losetup", "-d", peer.loops.pop()])  # else it is found
        peer.mount(options=["degraded"])
        with open(path, "r+b") as f:
            for _ in range(args.size * percent // 100):
                f.write(os.urandom(bench.MIB))
            os.fsync(f.fileno())
        peer.unmount()
        peer.attach(1)
        bench.drop_host_caches()
        began = time.monotonic()
        peer.mount()
        while True:
            stats = json.loads(os.getxattr(peer.mnt, "tagfs.stats"))
            if stats["resilver"] in ("done", "none"):
                break
            time.sleep(0.01)
        seconds = time.monotonic() - began
        if any(leg["state"] != "current" for leg in stats["legs"]):
            raise bench.Failure("a leg is behind after its resilver")
        return seconds, sum(leg["copied"] for leg in stats["legs"]) / 2048
    finally:
        peer.remove()


def has_md():
    return os.path.exists("/proc/mdstat")


def speeds(args, work):
    kinds = ["tagfs", "btrfs", "ext4"]
    if not has_md():
        print("ext4 on md: SKIPPED, this kernel has none")
        kinds.remove("ext4")
    pairs = [(f"{kind} single", f"{kind} mirror") for kind in kinds]
    names = [name for pair in pairs for name in pair]
    rounds = {name: [] for name in names}
    for i in range(args.rounds):
        first = i % len(names)
        for name in names[first:] + names[:first]:
            try:
                rounds[name].append(measure(Peer(name, args, work)))
            except bench.Failure as e:
                print(f"{name}: SKIPPED, {e}")
    print(f"\n{'':<12}" + "".join(f"{n:>14}" for n in names) +
          "".join(f"{kind + ' share':>14}" for kind in kinds))
    for key, _, unit in PHASES:
        cells = [statistics.median(r[key] for r in rounds[n]) if rounds[n]
                 else 0 for n in names]
        shares = []
        for one, two in pairs:
            both = list(zip(rounds[one], rounds[two]))
            shares.append(statistics.median(b[key] / a[key] for a, b in both)
                          if both else 0)                   # (2)
        print(f"{key:<12}" + "".join(f"{c:>14.0f}" for c in cells) +
              "".join(f"{s:>14.2f}" for s in shares) + f"  {unit}")


def resilvers(args, work):
    print(f"\n{'changed':>8}{'seconds':>10}{'MiB copied':>12}")
    for percent in CHANGED:
        got = [resilver(args, work, percent) for _ in range(args.rounds)]
        print(f"{percent:>6} %" + f"{statistics.median(s for s, _ in got):>10.2f}"
              f"{statistics.median(m for _, m in got):>12.0f}")


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    bench.common_options(p)
    p.add_argument("--rounds", type=int, default=5, metavar="N",
                   help="of which the median is shown (%(default)s)")
    p.add_argument("--limit", type=int, default=0, metavar="N",
                   help="reads a second of each device (none)")
    p.add_argument("--reads", type=int, default=20000, metavar="N",
                   help="random reads (%(default)s)")
    args = p.parse_args()
    bench.settle(p, args)
    args.files, args.need = 1, 4 * args.size + 512
    args.reads = min(args.reads, args.size * 256)
    return args


def main():
    args = parse()

    def body(work):
        args.devices = Limit(args.limit)
        try:
            speeds(args, work)
            if not args.limit:
                resilvers(args, work)
        finally:
            args.devices.end()

    return bench.in_store(args, body)


if __name__ == "__main__":
    sys.exit(main())
