#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounted tagfs against its peers, in one run, on files of one directory.

 (1) Every peer runs the same phases by the same program, load.c; peers take
     turns within a round, and a ratio is formed within a round alone.
 (2) Before a phase that reads, the peer is unmounted until its daemon is gone
     and its loop device detached, and mounted anew: its caches are empty.
 (3) Whatever ends the run, nothing stays mounted, no daemon stays, and no
     file is removed below something that is still mounted.
 (4) A peer that fails or is missing is named in the output, never left out
     in silence; without the reference there is no result.
"""

import argparse
import collections
import contextlib
import ctypes
import json
import math
import os
import platform
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

EXAMPLE = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"
MIB = 1 << 20
PATIENCE = 120          # seconds for a daemon to end after umount
LIMIT = 1800            # seconds for any one command
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Phase = collections.namedtuple(
    "Phase", "name reads unit units what")  # reads: remount before it

BASE = (
    Phase("seqwrite", False, "MiB/s", 1,
          "sequential write, 1 MiB, with fsync"),
    Phase("seqread", True, "MiB/s", 1, "sequential read, 1 MiB"),
    Phase("randread1", True, "k/s", 1e-3, "random read, 4 KiB, depth 1"),
    Phase("randread16", True, "k/s", 1e-3, "random read, 4 KiB, depth 16"),
    Phase("create", False, "k/s", 1e-3, "create empty files, with fsync"),
    Phase("stat", True, "k/s", 1e-3, "stat each file"),
    Phase("unlink", False, "k/s", 1e-3, "unlink each file, with fsync"),
)
SYNC = tuple(
    Phase(name + str(threads), False, "/s", 1,
          what + (", 8 threads" if threads > 1 else ""))
    for name, what in (
        ("append", "append 4 KiB, fsync"),
        ("overwrite", "random overwrite, 4 KiB, fdatasync"),
        ("replace", "create, write 4 KiB, fsync, rename over"))
    for threads in (1, 8))
ROWS = {"all": BASE + SYNC, "base": BASE, "sync": SYNC}


class Failure(Exception):
    """A message for a person."""


# ---- processes and mounts ------------------------------------------------

def adopt_daemons():
    """Daemons become our children, whose end can be waited for."""
    PR_SET_CHILD_SUBREAPER = 36
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise Failure("prctl: " + os.strerror(ctypes.get_errno()))


def children():
    """The process ids of our children, those not reaped included."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as f:
            if int(f.read().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


def reap(patience):
    """Wait until no child is left; False if some are after that time."""
    end = time.monotonic() + patience
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            if time.monotonic() > end:
                return False
            time.sleep(0.005)


def kill_children():
    for pid in children():
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def wait_for(proc, limit):
    """The status of a process; whatever happens, it has ended after that."""
    try:
        return proc.wait(limit)
    except BaseException:
        # Even a killed process waits for a daemon that does not answer.
        proc.kill()
        try:
            proc.wait(5)
        except subprocess.TimeoutExpired:
            kill_children()
            proc.wait()
        raise


def run(argv, limit=LIMIT):
    """Run a command to its end; its output, or Failure with its last line.

    The output goes through a file: a daemon may keep a pipe open for good."""
    name = os.path.basename(argv[0])
    with tempfile.TemporaryFile() as out:
        try:
            status = wait_for(subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out), limit)
        except OSError as e:
            raise Failure(f"{name}: {e.strerror}") from e
        except subprocess.TimeoutExpired as e:
            raise Failure(f"{name}: no end after {limit} s") from e
        out.seek(0)
        text = out.read().decode(errors="replace").strip()
    if status:
        why = text.splitlines()[-1] if text else f"status {status}"
        raise Failure(f"{name}: {why.removeprefix(name + ': ')}")
    return text


def mounted(path):
    """Whether something is mounted on path or below it."""
    with open("/proc/self/mountinfo") as f:
        points = [line.split()[4] for line in f]
    return any(p == path or p.startswith(path + "/") for p in points)


def looped(image):
    """The loop devices of an image, as /dev/loopN."""
    found = []
    for name in os.listdir("/sys/block"):
        backing = f"/sys/block/{name}/loop/backing_file"
        with contextlib.suppress(OSError), open(backing) as f:
            if f.read().rstrip("\n").removesuffix(" (deleted)") == image:
                found.append("/dev/" + name)
    return found


def wait_until(condition, patience):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def unmount(mnt, image, patience=PATIENCE):
    """Unmount and wait for daemon and loop device: (2)."""
    def try_umount():
        with contextlib.suppress(Failure):
            run(["umount", mnt], PATIENCE)
        return not mounted(mnt)

    if mounted(mnt) and not wait_until(try_umount, 10):
        raise Failure("umount: stays busy")
    if not reap(patience):
        raise Failure("the daemon does not end after umount")
    if not wait_until(lambda: not looped(image), 10):
        raise Failure("the loop device stays attached")


def force_unmount(mnt, image):
    """The same after a failure, by all means: (3)."""
    with contextlib.suppress(Failure):
        unmount(mnt, image, 15)
        return
    kill_children()
    with contextlib.suppress(Failure):
        run(["umount", "-l", mnt], PATIENCE)
    for dev in looped(image):
        with contextlib.suppress(Failure):
            run(["losetup", "-d", dev])
    reap(10)


# ---- peers ---------------------------------------------------------------

class Peer:
    """A file system to measure.  mkfs is None: the "image" is a directory.

    In commands, {image}, {mnt} and {mib} stand for what they say."""

    def __init__(self, name, mkfs, mount):
        self.name, self.mkfs, self.mount_argv = name, mkfs, mount
        self.failure = None             # why there is no result
        self.rounds = []                # {phase: rate}

    def fill(self, argv):
        return [a.format(image=self.image, mnt=self.mnt, mib=self.mib)
                for a in argv]

    def create(self, work, mib):
        """An empty file system in work, not mounted."""
        self.mib, self.mnt = mib, os.path.join(work, "mnt")
        self.image = os.path.join(work, self.name + ".image")
        os.makedirs(self.mnt, exist_ok=True)
        if self.mkfs is None:
            os.mkdir(self.image)
            return
        with open(self.image, "xb") as f:
            f.truncate(mib * MIB)
        run(self.fill(self.mkfs))

    def mount(self):
        run(self.fill(self.mount_argv))
        if not wait_until(lambda: mounted(self.mnt), 10):
            raise Failure("not mounted after the mount command")

    def unmount(self):
        unmount(self.mnt, self.image)

    def destroy(self):
        """Remove all traces; fine in any state, and not to be stopped."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self.remove()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def remove(self):
        force_unmount(self.mnt, self.image)
        if mounted(self.mnt):
            return                      # (3)
        if os.path.isdir(self.image):
            shutil.rmtree(self.image)
        elif os.path.exists(self.image):
            os.unlink(self.image)

    def describe(self):
        """The mount command with neutral paths."""
        program, *rest = self.mount_argv
        return " ".join([os.path.basename(program)] + [
            a.format(image="IMAGE", mnt="MNT") for a in rest])


def loop_peer(fs, mkfs):
    return Peer(fs, mkfs, ["mount", "-t", fs, "-o", "loop", "{image}",
                           "{mnt}"])


def all_peers(args, passthrough):
    # Lazy initialisation would work in the background of the measurement;
    # without big_writes FUSE 2 writes pages of 4 KiB.
    mkfs = [args.mkfs, "-f", "-s", "{mib}M", "{image}"]
    return [
        Peer("tagfs", mkfs,
             [args.tagfs, "-o", "uring=off", "{image}", "{mnt}"]),
        Peer("tagfs-uring", mkfs,
             [args.tagfs, "-o", "uring=on", "{image}", "{mnt}"]),
        Peer("passthrough", None,
             [passthrough, "-o", "source={image}", "{mnt}"]),
        loop_peer("ext4", ["mkfs.ext4", "-q", "-F", "-E",
                           "lazy_itable_init=0,lazy_journal_init=0",
                           "{image}"]),
        loop_peer("btrfs", ["mkfs.btrfs", "-q", "-f", "{image}"]),
        Peer("fuse2fs", ["mkfs.ext4", "-q", "-F", "-E",
                         "lazy_itable_init=0,lazy_journal_init=0",
                         "{image}"],
             ["fuse2fs", "-o", "big_writes", "{image}", "{mnt}"]),
        Peer("ntfs-3g", ["mkfs.ntfs", "-F", "-Q", "-q", "{image}"],
             ["ntfs-3g", "-o", "big_writes", "{image}", "{mnt}"]),
    ]


def build_passthrough(out):
    """Compile libfuse's example as out."""
    if not os.path.exists(EXAMPLE):
        raise Failure("libfuse's example passthrough_ll.c is not installed")
    flags = shlex.split(run(["pkg-config", "--cflags", "--libs", "fuse3"]))
    cc = shlex.split(os.environ.get("CC") or "cc")
    run(cc + ["-O2", "-o", out, EXAMPLE] + flags)


# ---- measuring -----------------------------------------------------------

def drop_host_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("3\n")


def load(args, phase, where):
    """Run one phase of load.c; what it measured."""
    return json.loads(run(
        [args.load, "-s", str(args.size), "-r", str(args.reads),
         "-n", str(args.files), "-f", str(args.syncs), phase, where]))


def measure_phase(peer, phase, args):
    if phase.reads:
        peer.unmount()
        if args.cold:
            drop_host_caches()
        peer.mount()
    out = load(args, phase.name, peer.mnt)
    return out["ops"] * phase.units / out["seconds"]


def measure(peer, work, args):
    """One round of one peer: {phase: rate}."""
    rates = {}
    try:
        peer.create(work, args.image)
        peer.mount()
        os.sync()       # what was before is not this peer's to write
        if args.rows == "sync":
            load(args, "seqwrite", peer.mnt)    # what is overwritten then
        for phase in ROWS[args.rows]:
            rates[phase.name] = measure_phase(peer, phase, args)
        peer.unmount()
    finally:
        peer.destroy()
    os.sync()
    return rates


def probe(peer, work, args):
    """Whether the peer works here at all; the reason goes to failure."""
    try:
        try:
            peer.create(work, args.image)
            peer.mount()
            peer.unmount()
        finally:
            peer.destroy()
    except Failure as e:
        peer.failure = str(e)


def note(text):
    print(text, file=sys.stderr, flush=True)


def warm_store(work, args):
    """Blocks that a store never wrote can cost far more than later, on a
    thin volume for instance, and the first peer would pay for all."""
    path = os.path.join(work, "warm")
    os.mkdir(path)
    run([args.load, "-s", str(args.size), "seqwrite", path])
    shutil.rmtree(path)
    os.sync()


def run_rounds(peers, work, args):
    for number in range(args.rounds):
        # Who comes first changes, in case it matters.
        turn = number % len(peers)
        for peer in peers[turn:] + peers[:turn]:
            if peer.failure:
                continue
            note(f"round {number + 1} of {args.rounds}: {peer.name}")
            try:
                peer.rounds.append(measure(peer, work, args))
            except Failure as e:
                peer.failure = f"in round {number + 1}: {e}"
                peer.rounds = []
                note(f"  {peer.name}: {e}")
            if peer.failure and peer.name == args.reference:
                raise Failure(f"{peer.name}: {peer.failure}")


# ---- results -------------------------------------------------------------

def store_type(path):
    """The type of the file system that holds path."""
    best = ("", "unknown")
    with open("/proc/self/mountinfo") as f:
        for line in f:
            left, _, right = line.partition(" - ")
            point = left.split()[4]
            if os.path.commonpath([point, path]) == point:
                best = max(best, (point, right.split()[0]),
                           key=lambda b: len(b[0]))
    return best[1]


def collect(peers, args):
    """All that is known, as JSON will have it."""
    done = [p for p in peers if p.rounds]
    ref = next(p for p in done if p.name == args.reference)
    results = {
        "kernel": platform.release(),
        "processors": os.cpu_count(),
        "store": store_type(args.dir),
        "size_mib": args.size, "files": args.files, "reads": args.reads,
        "syncs": args.syncs, "rows": args.rows,
        "rounds": args.rounds, "cold": args.cold,
        "reference": ref.name,
        "skipped": {p.name: p.failure for p in peers if p.failure},
        "peers": {}, "ratios": {},
    }
    for p in done:
        results["peers"][p.name] = {
            "mount": p.describe(),
            "phases": {name: {
                "unit": unit,
                "rounds": [r[name] for r in p.rounds],
                "median": statistics.median(r[name] for r in p.rounds),
            } for name, _, unit, _, _ in ROWS[args.rows]}}
        if p is not ref:
            results["ratios"][p.name] = {
                name: spread([a[name] / b[name]
                              for a, b in zip(ref.rounds, p.rounds)])
                for name, *_ in ROWS[args.rows]}
    return results


def spread(values):
    return {"median": statistics.median(values),
            "low": min(values), "high": max(values)}


def grid(results, names, cell, width):
    """A table: a line per phase, a column per name."""
    lines = [f"{'':<18}" + "".join(f"{n:>{width}}" for n in names)]
    for name, _, unit, _, _ in ROWS[results["rows"]]:
        cells = [cell(results, n, name) for n in names]
        lines.append(f"{name:<11}{unit if cell is absolute else '':<7}" +
                     "".join(f"{c:>{width}}" for c in cells))
    return lines


def absolute(results, peer, phase):
    value = results["peers"][peer]["phases"][phase]["median"]
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(results, peer, phase):
    r = results["ratios"][peer][phase]
    if results["rounds"] == 1:
        return f"{r['median']:.2f}"
    return f"{r['median']:.2f} ({r['low']:.2f}-{r['high']:.2f})"


def amounts(results):
    """What the phases of this run did, for a person."""
    r, parts = results, [f"{results['size_mib']} MiB file"]
    if r["rows"] != "sync":
        parts.append(f"{r['files']} files")
    if r["rows"] != "base":
        parts.append(f"{r['syncs']} operations with fsync")
    return ", ".join(parts)


def conditions(results):
    """What a number of this run means, in lines."""
    r = results
    lines = [
        f"{amounts(r)}, median of {r['rounds']} interleaved rounds;",
        f"Linux {r['kernel']}, {r['processors']} processors, store on "
        f"{r['store']}.",
    ]
    if r["rows"] == "sync":
        return lines
    caches = ("and the host's caches were dropped" if r["cold"] else
              "but the host's page cache was not dropped:\nthe same for "
              "everyone, and a peer that keeps its image there reads from "
              "memory")
    return lines + [
        f"Before each read phase the peer was remounted, {caches}."]


def table(results):
    r, ref = results, results["reference"]
    lines = conditions(results)
    several = r["rounds"] > 1
    if r["ratios"]:
        lines += ["", f"{ref} relative to each peer; above 1 {ref} is faster" +
                  (" (range of the rounds):" if several else ":")]
        lines += grid(r, list(r["ratios"]), ratio, 20 if several else 12)
    lines += ["", "Absolute values "
              "(/s: operations per second, k/s: thousands of them):"]
    lines += grid(r, list(r["peers"]), absolute, 12)
    lines += ["", "Mounted by:"]
    lines += [f"  {p['mount']}" for p in r["peers"].values()]
    lines += [f"SKIPPED {n}: {why}" for n, why in r["skipped"].items()]
    return "\n".join(lines) + "\n"


# ---- the chart -----------------------------------------------------------

FASTER, SLOWER = "#0072b2", "#d55e00"
INK, GREY, FAINT = "#222222", "#666666", "#cccccc"
LEFT, PLOT, RIGHT, BAR, STEP = 130, 520, 70, 13, 17


def escape(text):
    return (text.replace("&", "&amp;").replace("<", "&lt;")
            .replace(">", "&gt;"))


def text_at(x, y, text, anchor="start", extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>'
            f'{escape(text)}</text>')


class Scale:
    """Ratios to x positions: logarithmic, so that twice as fast is as long
    as half as fast, and wide enough for all ratios."""

    def __init__(self, ratios):
        self.low = math.floor(math.log2(min([0.5] + ratios)))
        self.high = math.ceil(math.log2(max([2.0] + ratios)))

    def __call__(self, value):
        span = self.high - self.low
        return LEFT + PLOT * (math.log2(value) - self.low) / span

    def ticks(self):
        """(value, label), at most about ten."""
        step = 1 + (self.high - self.low) // 10
        for power in range(self.low - self.low % step, self.high + 1, step):
            if power >= self.low:
                yield 2.0 ** power, (str(2 ** power) if power >= 0 else
                                     f"1/{2 ** -power}")


def axis(scale, top, bottom):
    for value, label in scale.ticks():
        x, color = scale(value), INK if value == 1 else FAINT
        yield (f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" '
               f'stroke="{color}"/>')
        yield text_at(x, top - 6, label, "middle")


def bar(scale, y, peer, value):
    median, low, high = value["median"], value["low"], value["high"]
    x1, x2 = sorted((scale(1), scale(median)))
    color = FASTER if median >= 1 else SLOWER
    yield text_at(LEFT - 8, y + BAR - 2, peer, "end")
    yield (f'<rect x="{x1:.1f}" y="{y}" width="{max(x2 - x1, 1):.1f}" '
           f'height="{BAR}" fill="{color}"/>')
    yield (f'<line x1="{scale(low):.1f}" y1="{y + BAR / 2}" '
           f'x2="{scale(high):.1f}" y2="{y + BAR / 2}" stroke="{INK}"/>')
    # Right of all: to the left of a slow bar it might leave the plot.
    yield text_at(max(x2, scale(1), scale(high)) + 5, y + BAR - 2,
                  f"{median:.2f}")


def chart(results):
    """The ratios as an SVG document."""
    ref, ratios = results["reference"], results["ratios"]
    scale = Scale([r[end] for phases in ratios.values()
                   for r in phases.values() for end in ("low", "high")])
    top = 118
    y, body = top, []
    for name, _, _, _, what in ROWS[results["rows"]]:
        body.append(f'<rect x="0" y="{y}" width="100%" height="20" '
                    'fill="white"/>')
        body.append(text_at(10, y + 15, what, extra=' font-weight="bold"'))
        y += 22
        for peer in ratios:
            body += bar(scale, y, peer, ratios[peer][name])
            y += STEP
        y += 8
    width = LEFT + PLOT + RIGHT
    head = [text_at(10, 24, f"{ref} relative to its peers",
                    extra=' font-size="18" font-weight="bold"'),
            text_at(10, 44, f"throughput ratio, logarithmic: right of 1 "
                    f"{ref} is faster, left of 1 the peer is; "
                    "line: all rounds")]
    head += [text_at(10, 62 + 15 * i, line, extra=f' fill="{GREY}"')
             for i, line in enumerate(caption(results))]
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
         f'height="{y + 6}" viewBox="0 0 {width} {y + 6}" '
         f'font-family="sans-serif" font-size="12" fill="{INK}">',
         '<rect width="100%" height="100%" fill="white"/>'] + head +
        list(axis(scale, top, y)) + body + ["</svg>"]) + "\n"


def caption(results):
    caches = "dropped" if results["cold"] else "kept"
    reads = "" if results["rows"] == "sync" else (
        f" remounted before reads, host caches {caches};")
    return [f"{amounts(results)}, median of {results['rounds']} rounds;"
            f"{reads}",
            f"Linux {results['kernel']}, {results['processors']} processors, "
            f"store on {results['store']}"]


# ---- command line --------------------------------------------------------

def common_options(p):
    """What every measurement of a mounted tagfs needs to know."""
    here = os.path.dirname(os.path.abspath(__file__))
    p.add_argument("--build", default=os.path.dirname(here), metavar="DIR",
                   help="build directory: tagfs, mkfs.tagfs and bench/load "
                   "are taken from there (default: above this script)")
    p.add_argument("--tagfs", metavar="FILE", help="another tagfs")
    p.add_argument("--mkfs", metavar="FILE", help="another mkfs.tagfs")
    p.add_argument("--load", metavar="FILE", help="another bench/load")
    p.add_argument("--dir", default=os.environ.get("TMPDIR") or "/var/tmp",
                   help="the store: all images are files here (%(default)s)")
    p.add_argument("--size", type=int, metavar="MIB",
                   help="size of the data file (1024)")
    p.add_argument("--syncs", type=int, metavar="N",
                   help="operations of each phase with fsync (2000)")
    p.add_argument("--quick", action="store_true",
                   help="for a look: less of everything that is not given")
    p.add_argument("--opt", action="append", default=[], metavar="PEER=OPTS",
                   help="mount PEER with -o OPTS as well")


def settle(p, args):
    """Fill in what was not given to common_options()."""
    args.size = args.size or (256 if args.quick else 1024)
    args.syncs = args.syncs or (400 if args.quick else 2000)
    if args.size < 1 or args.syncs < 8:
        p.error("--size is positive; --syncs is at least 8")
    args.tagfs = args.tagfs or os.path.join(args.build, "tagfs")
    args.mkfs = args.mkfs or os.path.join(args.build, "mkfs.tagfs")
    args.load = args.load or os.path.join(args.build, "bench", "load")
    args.dir = os.path.realpath(args.dir)
    # Metadata, a journal, protection information: nobody runs out.
    appended = args.syncs // 128
    args.image = max(4 * args.size, args.size + 1024) + appended
    args.need = 2 * args.size + 512 + 2 * appended


def parse():
    p = argparse.ArgumentParser(
        description="Measure mounted tagfs against its peers.")
    common_options(p)
    p.add_argument("--rows", choices=ROWS, default="all",
                   help="all, those without an fsync per operation (base), "
                   "or only those with (sync)")
    p.add_argument("--out", default="results", metavar="DIR",
                   help="for results.json, .svg and .txt (%(default)s)")
    p.add_argument("--files", type=int, default=10000,
                   help="files to create, stat, unlink (%(default)s)")
    p.add_argument("--reads", type=int, default=32768,
                   help="random reads per depth (%(default)s)")
    p.add_argument("--rounds", type=int, help="(3, quick: 1)")
    p.add_argument("--cold", action="store_true",
                   help="drop the host's caches before each read phase")
    p.add_argument("--peers", metavar="A,B,...", help="only these")
    p.add_argument("--reference", default="tagfs", metavar="PEER",
                   help="relate to another than %(default)s")
    p.add_argument("--engine", metavar="FILE",
                   help="JSON of bench/engine, to include in results.json")
    args = p.parse_args()
    settle(p, args)
    args.rounds = args.rounds or (1 if args.quick else 3)
    if min(args.files, args.rounds) < 1 or args.reads < 16:
        p.error("counts are positive; --reads is at least 16")
    return p, args


def choose_peers(p, args, peers):
    """The peers that were asked for, with their extra options."""
    names = [peer.name for peer in peers]
    wanted = args.peers.split(",") if args.peers else names
    for name in wanted + [args.reference]:
        if name not in names:
            p.error(f"no such peer: {name}; there are {', '.join(names)}")
    for opt in args.opt:
        name, _, value = opt.partition("=")
        if name not in names or not value:
            p.error(f"--opt {opt}: PEER=OPTS is needed")
        peers[names.index(name)].mount_argv += ["-o", value]
    return [peer for peer in peers if peer.name in wanted + [args.reference]]


def prepare(args):
    """What must hold before anything is mounted."""
    if os.geteuid():
        raise Failure("root is needed to mount")
    if not os.access(args.load, os.X_OK):
        raise Failure(f"{args.load}: not built; make bench does it")
    free = os.statvfs(args.dir)
    if free.f_bavail * free.f_frsize < args.need * MIB:
        raise Failure(f"{args.dir}: less than {args.need} MiB free")
    adopt_daemons()


def allow_descriptors(need):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(need, hard),) * 2)


def save(results, args):
    whole = {"mount": results}
    if args.engine:
        with open(args.engine) as f:
            whole["engine"] = json.load(f)
    os.makedirs(args.out, exist_ok=True)
    for name, text in (("results.json", json.dumps(whole, indent=1) + "\n"),
                       ("results.svg", chart(results)),
                       ("results.txt", table(results))):
        with open(os.path.join(args.out, name), "w") as f:
            f.write(text)


def bench(p, args, work):
    # passthrough_ll holds a descriptor for each file it was asked about.
    allow_descriptors(args.files + 1024)
    passthrough = os.path.join(work, "passthrough_ll")
    peers = choose_peers(p, args, all_peers(args, passthrough))
    for peer in peers:
        if peer.name == "passthrough":
            try:
                build_passthrough(passthrough)
            except Failure as e:
                peer.failure = str(e)
        if not peer.failure:
            probe(peer, work, args)
        if peer.failure:
            note(f"SKIPPED {peer.name}: {peer.failure}")
            if peer.name == args.reference:
                raise Failure(f"{peer.name} can't be measured")
    warm_store(work, args)
    run_rounds([peer for peer in peers if not peer.failure], work, args)
    results = collect(peers, args)
    sys.stdout.write(table(results))
    save(results, args)


def in_store(args, body):
    """Call body with a directory of its own; the exit status: (3)."""
    for sig in SIGNALS:
        signal.signal(sig, lambda number, _: sys.exit(128 + number))
    work = None
    try:
        prepare(args)
        work = tempfile.mkdtemp(prefix="tagfs-bench-", dir=args.dir)
        body(work)
    except (Failure, OSError) as e:
        note(f"{os.path.basename(sys.argv[0])}: {e}")
        return 1
    finally:
        if work and mounted(work):
            note(f"still mounted, left as it is: {work}")
        elif work:
            shutil.rmtree(work, ignore_errors=True)
    return 0


def main():
    p, args = parse()
    return in_store(args, lambda work: bench(p, args, work))


if __name__ == "__main__":
    sys.exit(main())
