#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""recovery.py - processor time and memory of fsck, rebuild and restore, for a
full filesystem whose superblocks, slots and log are gone: the whole tree is
made anew.  Without arguments: 100000 files of mixed sizes, 10 GiB."""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time


def run(what, ok, *argv):
    """One line: wall and processor seconds, most memory in MiB."""
    start = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as p:
        _, status, used = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode not in ok:
        sys.exit(f"{' '.join(argv)}: exit status {p.returncode}")
    print(f"{what:36}{time.monotonic() - start:9.1f}"
          f"{used.ru_utime + used.ru_stime:9.1f}"
          f"{used.ru_maxrss / 1024:9.0f}", flush=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--build", default=".", help="where it was built")
    ap.add_argument("--dir", help="room for the image (default: TMPDIR)")
    ap.add_argument("--files", type=int, default=100000)
    ap.add_argument("--bytes", help="of each; default: mixed")
    ap.add_argument("--image", default="12G", help="size of the image")
    ap.add_argument("--memory", default="16M")
    a = ap.parse_args()
    work = tempfile.mkdtemp(prefix="tagfs-recovery.", dir=a.dir)
    tool = {t: os.path.join(a.build, t) for t in
            ("mkfs.tagfs", "fsck.tagfs", "tagfsctl", "bench/fill")}
    image, out = os.path.join(work, "image"), os.path.join(work, "out")
    fill = ["-n", str(a.files)] + (["-s", a.bytes] if a.bytes else [])
    few = ["--memory", a.memory, "--scratch", work]
    try:
        subprocess.run([tool["mkfs.tagfs"], "-q", "-s", a.image, image],
                       check=True)
        print(f"{'':36}{'wall s':>9}{'cpu s':>9}{'MiB':>9}")
        run("fill", [0], tool["bench/fill"], *fill, image)
        run("fsck -n -f", [0], tool["fsck.tagfs"], "-n", "-f", image)
        subprocess.run([tool["bench/fill"], "-x", image], check=True)
        rebuild = [tool["fsck.tagfs"], "--rebuild"]
        restore = [tool["tagfsctl"], "restore"]
        run("rebuild -n", [4], *rebuild, "-n", image)
        run(f"rebuild -n, {a.memory} and scratch", [4], *rebuild, "-n", *few,
            image)
        run("restore of one directory", [0, 3], *restore, image, out, "/d1/*")
        shutil.rmtree(out)
        run(f"restore, {a.memory} and scratch", [0, 3], *restore, *few, image,
            out, "/d1/*")
        run(f"rebuild -y, {a.memory} and scratch", [1], *rebuild, "-y", *few,
            image)
        run("fsck -n -f", [0], tool["fsck.tagfs"], "-n", "-f", image)
    finally:
        shutil.rmtree(work)


main()
