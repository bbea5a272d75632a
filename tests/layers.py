#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""layers.py - nothing calls upward: no object of a layer refers to what a
higher layer defines, no two files need each other, in however many steps, and
the engine refers to nothing of fs/."""
import os
import subprocess
import sys

# Those in a row know nothing of each other.
ORDER = [["core"], ["io"], ["soft", "native"], ["mirror"], ["extra"],
         ["engine"], ["base"],
         ["tree"], ["commit"], ["file"], ["name"], ["mount"],
         ["check"], ["fuse"]]
RANK = {layer: n for n, row in enumerate(ORDER) for layer in row}
ENGINE = [layer for row in ORDER[:5] for layer in row]
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def sources():
    """Layer and path of every source, without its ending."""
    for layer in RANK:
        folder = ("engine" if layer == "engine" else
                  "engine/" + layer if layer in ENGINE else "fs/" + layer)
        for name in os.listdir(os.path.join(TOP, folder)):
            yield layer, os.path.join(folder, name)


def find_object(path):
    """libtool calls it LIBRARY-NAME.o, beside the source or in .libs."""
    folder, name = os.path.split(path)
    for sub in (folder, os.path.join(folder, ".libs")):
        for obj in os.listdir(sub) if os.path.isdir(sub) else ():
            if obj == name + ".o" or obj.endswith("-" + name + ".o"):
                return os.path.join(sub, obj)
    return None


def symbols(obj):
    out = subprocess.run(["nm", "-g", "-P", obj], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        name, kind = line.split()[:2]
        yield name, kind in "Uwv"


def cycle(calls, at, path, done):
    """A way from at back to itself, or None."""
    if at in path:
        return path[path.index(at):] + [at]
    if at in done:
        return None
    for to in sorted(calls.get(at, ())):
        found = cycle(calls, to, path + [at], done)
        if found:
            return found
    done.add(at)
    return None


def main():
    defined, wanted, seen, bad = {}, [], set(), []
    for layer, path in sources():
        obj = path.endswith(".c") and find_object(path[:-2])
        if not obj:
            continue
        seen.add(layer)
        for name, undefined in symbols(obj):
            if undefined:
                wanted.append((layer, path, name))
            else:
                defined[name] = layer, path
    bad += ["no object of " + l for l in RANK if l not in seen]
    calls = {}
    for layer, path, name in sorted(wanted):
        up, where = defined.get(name, (layer, path))
        if up != layer and RANK[up] >= RANK[layer]:
            bad.append(f"{path} calls upward: {name} of {where}")
        if where != path:
            calls.setdefault(path, set()).add(where)
    circle = None
    done = set()
    for path in sorted(calls):
        circle = circle or cycle(calls, path, [], done)
    if circle:
        bad.append("a circle: " + " -> ".join(circle))
    for line in bad:
        print("layers:", line)
    return bool(bad)


sys.exit(main())
