#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
''':'
# The same file for the shell: python3 may be missing.
command -v python3 >/dev/null || { echo "SKIP: no python3"; exit 77; }
exec python3 "$0" "$@"
'''
DOC = """spec_reader.py - a second reader of the medium, written from doc/SPEC.md alone.

It shares no line with the programs, so that an image which both understand
alike says what SPEC.md says it does.

	spec_reader.py				the test
	spec_reader.py list IMAGE		every path
	spec_reader.py cat IMAGE PATH		a file's content
	spec_reader.py check IMAGE		everything, free space included
	spec_reader.py log IMAGE		what is replayed, commit by commit

 (1) Whatever is read is checked, by the section of SPEC.md that is cited; what
     does not hold ends in Damage.
 (2) The test writes through a mount and reads through this file.  Exit status
     77: no python3, no FUSE, or nothing is built.
 (3) The log is replayed over the tree, key by key.  The checkpoint's own
     numbers are compared with the tree alone, the last commit's with both.
"""
import bisect
import copy
import errno
import fcntl
import heapq
import os
import random
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import time


class Damage(Exception):
    """The medium does not hold what it should."""


class Unwritten(Damage):
    """An escape where data were expected."""


def need(true, *what, kind=Damage):
    if not true:
        raise kind(' '.join(str(w) for w in what))


# ---- section 2: checksums and hashes ----------------------------------------

def reflected_table(poly):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (poly if byte & 1 else 0)
        table.append(byte)
    return table


def t10_table():
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x8bb7 if crc & 0x8000 else 0)) & 0xffff
        table.append(crc)
    return table


TABLE32 = reflected_table(0x82f63b78)
TABLE64 = reflected_table(0x9a6c9329ac4bc9b5)
TABLE16 = t10_table()


def crc32c(data):
    crc, table = 0xffffffff, TABLE32
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def crc32c_without(data, at):
    """Of a structure with its own checksum taken as 0."""
    return crc32c(data[:at] + bytes(4) + data[at + 4:])


def crc16(data):
    crc, table = 0, TABLE16
    for byte in data:
        crc = (crc << 8 & 0xff00) ^ table[crc >> 8 ^ byte]
    return crc


def crc64(data):
    crc, table = 0xffffffffffffffff, TABLE64
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffffffffffff


def ip_sum(data):
    total = sum(struct.unpack('>%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


GUARDS = {0: crc16, 1: ip_sum, 2: crc64}
U64 = (1 << 64) - 1


def rotl(x, n):
    return (x << n | x >> (64 - n)) & U64


def siphash(key, data):
    k0, k1 = struct.unpack('<QQ', key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & U64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & U64
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & U64
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & U64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    tail = len(data) % 8
    words = data[:len(data) - tail] + data[len(data) - tail:].ljust(7, b'\0')
    words += bytes([len(data) & 0xff])
    for word in struct.unpack('<%dQ' % (len(words) // 8), words):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# ---- section 3: tuples --------------------------------------------------------

class Profile:
    def __init__(self, interval, meta, place, size, kind, guard):
        self.interval, self.meta = interval, meta
        self.place, self.size, self.type = place, size, kind
        self.guard = GUARDS[guard]
        need(interval in (512, 4096) and meta in (8, 16, 64) and
             kind in (1, 2, 3) and size == (16 if guard == 2 else 8) and
             place in (0, meta - size), 'profile')

    def split(self, meta):
        if self.size == 16:
            guard, low = struct.unpack_from('>QQ', meta, self.place)
            return guard, low >> 48, low & 0xffffffffffff
        return struct.unpack_from('>HHI', meta, self.place)

    def stamp(self, meta):
        """Guard and application tag, as stored."""
        return meta[self.place:self.place + (10 if self.size == 16 else 4)]

    def ones(self):
        return 0xffffffffffff if self.size == 16 else 0xffffffff

    def fault(self, data, meta, number):
        """None, or the first check that fails."""
        guard, tag, ref = self.split(meta)
        if tag == 0xffff and (self.type != 3 or ref == self.ones()):
            return 'escape'
        if guard != self.guard(data + meta[:self.place]):
            return 'guard'
        if self.type != 3 and ref != number & self.ones():
            return 'ref'
        return None


# ---- section 4: the container -------------------------------------------------

GOOD, DAMAGED, NOTHING = 'good', 'damaged', 'nothing'
BLANK, OURS, LOST = 'blank', 'ours', 'lost'


class Page:
    """4.4: what one tuple page is."""

    def __init__(self, raw, box_id, zone, parity):
        magic, page_id, number, gen = struct.unpack_from('<8sQQQ', raw)
        crcs = struct.unpack_from('<8I', raw, 0x20)
        self.raw, self.gen, self.kind = raw, 0, BLANK
        self.trust = [GOOD] * 8
        if crc32c_without(raw[:512], 0x20) != crcs[0]:
            if bin(page_id ^ box_id).count('1') <= 8:
                self.lose(DAMAGED)
        elif magic != b'TAPITUP1' or page_id != box_id:
            pass
        elif number != zone or not 0 < gen < 1 << 62 or gen % 2 != parity:
            self.lose(DAMAGED)
        else:
            self.kind, self.gen = OURS, gen
            for i in range(1, 8):
                if crc32c(raw[512 * i:512 * i + 512]) != crcs[i]:
                    self.trust[i] = DAMAGED

    def lose(self, trust):
        self.kind, self.gen, self.trust = LOST, 0, [trust] * 8

    def settle(self, other):
        if self.kind == BLANK and other.gen >= 2:
            self.lose(DAMAGED if any(self.raw) else NOTHING)
        elif self.kind == BLANK:
            self.raw = b'\xff' * 4096

    def at(self, k, size):
        at = 64 + k * size
        return self.raw[at:at + size], self.trust[at // 512]


class Container:
    def __init__(self, path):
        self.file = open(path, 'rb')
        self.size = os.fstat(self.file.fileno()).st_size
        raw = self.bytes(0, 4096)
        if not self.is_header(raw, 0):
            raw = self.bytes(self.size // 4096 * 4096 - 4096, 4096)
            need(self.is_header(raw, 1), 'no container header')
        self.decode(raw)
        self.pages = {}

    def bytes(self, at, count):
        self.file.seek(at)
        data = self.file.read(count)
        need(len(data) == count, 'image ends before byte', at + count)
        return data

    @staticmethod
    def is_header(raw, copy):
        return raw[:8] == b'TAGPISW1' and \
            struct.unpack_from('<I', raw, 0xffc)[0] == crc32c(raw[:0xffc]) and \
            struct.unpack_from('<I', raw, 0x0c)[0] == copy

    def decode(self, raw):
        version, = struct.unpack_from('<I', raw, 8)
        incompat, self.id = struct.unpack_from('<QQ', raw, 0x20)
        interval, meta, place = struct.unpack_from('<IHH', raw, 0x30)
        size, kind, guard, pad, per = struct.unpack_from('<BBBBI', raw, 0x38)
        zones, intervals, total = struct.unpack_from('<QQQ', raw, 0x40)
        need(version == 1 and not incompat, 'container version or features')
        need(not pad and not any(raw[0x58:0xffc]), 'container header padding')
        self.profile = Profile(interval, meta, place, size, kind, guard)
        need(total % 4096 == 0 and total <= self.size, 'container size')
        self.layout(total)
        need((per, zones, intervals) ==
             (self.per, self.zones, self.intervals), 'container layout')

    def layout(self, total):
        p = self.profile
        run = 8 * p.interval
        groups = 4032 // p.meta // 8
        self.per = 8 * groups
        self.zone_bytes = 8192 + groups * run
        left = total - 8192
        self.zones = left // self.zone_bytes
        self.intervals = self.zones * self.per
        left %= self.zone_bytes
        if left >= 8192 + run:
            self.intervals += (left - 8192) // run * 8
            self.zones += 1
        need(self.zones, 'container too small')

    def zone_at(self, zone):
        return 4096 + zone * self.zone_bytes

    def zone_pages(self, zone):
        """Newer and older."""
        if zone not in self.pages:
            a, b = [Page(self.bytes(self.zone_at(zone) + 4096 * i, 4096),
                         self.id, zone, i) for i in (0, 1)]
            a.settle(b)
            b.settle(a)
            first = b if b.kind == LOST and a.kind != LOST else \
                a if a.kind == LOST or a.gen > b.gen else b
            self.pages[zone] = first, b if first is a else a
        return self.pages[zone]

    def metadata(self, i, data):
        p, k = self.profile, i % self.per
        newer, older = [page.at(k, p.meta)
                        for page in self.zone_pages(i // self.per)]
        if newer[1] == GOOD:
            return newer[0]
        tries = [newer, older]
        if newer[1] == DAMAGED and older[1] == GOOD:
            tries = [older, newer]
        tries = [meta for meta, trust in tries if trust != NOTHING]
        for meta in tries:
            if not p.fault(data, meta, i):
                return meta
        return tries[0] if tries else b'\xff' * p.meta

    def whole(self, i):
        """Data and metadata of an interval, verified."""
        p = self.profile
        need(i < self.intervals, 'interval', i, 'is not there')
        data = self.bytes(self.zone_at(i // self.per) + 8192 +
                          i % self.per * p.interval, p.interval)
        meta = self.metadata(i, data)
        fault = p.fault(data, meta, i)
        need(not fault, 'interval', i, fault,
             kind=Unwritten if fault == 'escape' else Damage)
        return data, meta

    def read(self, i):
        """Data and application tag."""
        data, meta = self.whole(i)
        return data, self.profile.split(meta)[1]


# ---- section 6: the tag record --------------------------------------------------

def mix(x):
    x ^= x >> 32
    x = x * 0xd6e8feb86659fd93 & U64
    x ^= x >> 29
    x = x * 0x9e3779b97f4a7c15 & U64
    return x ^ x >> 32


class Records:
    def __init__(self, nonce):
        a, b = struct.unpack('<QQ', nonce)
        self.round = [mix(mix(a + i * 0xa0761d6478bd642f & U64) ^ b)
                      for i in range(4)]
        self.tweak = mix(mix(b ^ 0xe7037ed1a0b428db) ^ a)

    def f(self, half, i, t):
        return mix(half ^ self.round[i] ^ rotl(t, i)) >> 4

    def encode(self, kind, owner, index, seq, addr):
        t = mix(addr ^ self.tweak)
        l = kind << 56 | owner << 24 | 0x5a << 16 | seq >> 28
        r = index << 28 | seq & 0xfffffff
        for i in range(4):
            l, r = r, l ^ self.f(r, i, t)
        return [half >> 15 * n & 0x7fff for half in (l, r) for n in range(4)]

    def decode(self, lanes, addr):
        need(not any(lane >> 15 for lane in lanes), 'no record')
        t = mix(addr ^ self.tweak)
        l = sum(lanes[n] << 15 * n for n in range(4))
        r = sum(lanes[4 + n] << 15 * n for n in range(4))
        for i in (3, 2, 1, 0):
            l, r = r ^ self.f(l, i, t), l
        need(l >> 16 & 0xff == 0x5a and 1 <= l >> 56 <= 7, 'no record')
        return (l >> 56, l >> 24 & 0xffffffff, r >> 28,
                (l & 0xffff) << 28 | r & 0xfffffff)


# ---- sections 5 and 7 to 12: the filesystem ---------------------------------------

SUPER, SLOT, NODE, LOG, DATA, FENCE = 1, 2, 3, 4, 5, 6
REGION, SUMMARY, ORPHAN, INODE, XATTR, DIRENT, INLINE, EXTENT = \
    1, 2, 3, 16, 17, 18, 19, 20
FLAW, SPOT, UNLISTED, SCRUB, SUSPECT, RESILVER = 4, 5, 6, 7, 8, 9
FIRST, LAST = (0, 0, 0), (0xffffffff, 0xff, U64)
JUMP = 1 << 20


class Inode:
    def __init__(self, number, raw):
        need(len(raw) == 120, 'inode', number, 'length')
        (self.mode, self.uid, self.gid, self.nlink, self.size, self.clusters,
         self.birth, self.major, self.minor, self.parent, flags) = \
            struct.unpack_from('<IIIIQQQIIII', raw)
        self.number = number
        self.times = []
        for i in range(4):
            sec, nsec, pad = struct.unpack_from('<qII', raw, 0x38 + 16 * i)
            need(nsec < 10 ** 9 and not pad, 'inode', number, 'time')
            self.times.append(sec * 10 ** 9 + nsec)
        need(not flags & ~31 and (not flags & 1 or stat.S_ISREG(self.mode))
             and (not flags & 6 or stat.S_ISREG(self.mode) or
                  stat.S_ISDIR(self.mode)), 'inode', number, 'flags')
        self.cut = bool(flags & 1)


class Tagfs:
    def __init__(self, path):
        self.dev = Container(path)
        self.each(8)
        self.known = {}			# nodes
        self.changes, self.changed = {}, []	# by the log
        self.superblock()
        self.slot()
        self.log()

    def each(self, intervals):
        """So many are a cluster: 8, or 1 with all tags."""
        self.ipc = intervals
        self.csize = intervals * self.dev.profile.interval

    def cluster(self, addr):
        if self.ipc == 1:
            data, meta = self.dev.whole(addr)
            p = self.dev.profile
            at = 0 if p.place else p.size
            return data, [p.split(meta)[1]] + \
                list(struct.unpack_from('>7H', meta, at))
        parts = [self.dev.read(8 * addr + i) for i in range(8)]
        return b''.join(p[0] for p in parts), [p[1] for p in parts]

    def checked(self, addr, kind, owner, index, seq, records=None):
        data, tags = self.cluster(addr)
        want = (records or self.records).encode(kind, owner, index, seq, addr)
        need(tags == want, 'cluster', addr, 'application tags')
        return data

    def either(self, what, one, *args):
        """Copy 0 or, if that is bad, copy 1."""
        try:
            return one(0, *args)
        except Damage as first:
            try:
                return one(1, *args)
            except Damage as second:
                raise Damage('%s: %s; %s' % (what, first, second))

    # -- section 8

    def super_copy(self, copy, last):
        addr = last if copy else 0
        data, tags = self.cluster(addr)
        raw = data[:0x100]
        need(raw[:8] == b'TAGFS\0\r\n', 'superblock magic')
        version, crc = struct.unpack_from('<II', raw, 8)
        need(crc == crc32c_without(raw, 0x0c), 'superblock checksum')
        incompat, seq = struct.unpack_from('<QQ', raw, 0x50)
        need(version == 1 and not incompat & ~113,
             'superblock version or features')
        need(bool(incompat & 64) == (self.ipc == 1), 'superblock tags')
        need(raw[0x98] == copy and not any(raw[0x99:]), 'superblock padding')
        n, csize, interval, log, logs = \
            struct.unpack_from('<QIIQQ', raw, 0x70)
        need(csize == self.csize and interval == self.dev.profile.interval,
             'superblock geometry')
        need(1024 <= n <= 1 << 44 and self.ipc * n <= self.dev.intervals and
             log == 3 and 1 <= logs <= n // 2 and 0 < seq < 1 << 44,
             'superblock numbers')
        need(not copy or n - 1 == addr, 'superblock place')
        records = Records(raw[0x60:0x70])
        need(tags == records.encode(SUPER, 0, copy, seq, addr),
             'superblock tags')
        return seq, copy, raw, records, n, logs

    def supers(self, why):
        found = []
        last = self.dev.intervals // self.ipc - 1
        for copy in (0, 1):
            try:
                found.append(self.super_copy(copy, last))
                last = found[0][4] - 1
            except Damage as damage:
                why.append(str(damage))
        return found

    def superblock(self):
        p, why, ways = self.dev.profile, [], []
        for intervals in (1, 8):
            if intervals == 8 or (p.interval, p.meta) == (4096, 64):
                self.each(intervals)
                found = self.supers(why)
                if found:
                    ways.append((found[0][1] == 0, struct.unpack_from(
                        '<Q', found[0][2], 0x90)[0], intervals, found))
        need(ways, *why)
        _, _, intervals, found = max(ways, key=lambda w: w[:3])
        self.each(intervals)
        best = max(found, key=lambda f: (f[0], -f[1]))
        _, _, raw, self.records, self.n, self.logs = best
        self.nonce = raw[0x60:0x70]
        self.has_log = struct.unpack_from('<Q', raw, 0x50)[0] & 1
        self.label = raw[0x20:0x40].rstrip(b'\0').decode()
        fenced = struct.unpack_from('<Q', raw, 0x48)[0] & 1
        self.end = self.n - (4 if fenced else 3)
        if fenced:
            self.fence()

    # -- section 9.1

    def fence(self):
        """In a container: bytes without tuples."""
        dev, first = self.dev, self.ipc * self.end
        interval = dev.profile.interval
        raw = dev.bytes(dev.zone_at(first // dev.per) + 8192 +
                        first % dev.per * interval, self.csize)
        magic, crc = struct.unpack_from('<4sI', raw)
        need(magic == b'TFNC' and crc == crc32c_without(raw[:0x100], 4),
             'fence checksum')
        need(raw[8:0x18] == self.nonce and not any(raw[0x90:]), 'fence')
        counter, = struct.unpack_from('<Q', raw, 0x18)
        interval, flags = struct.unpack_from('<II', raw, 0x48)
        need(0 < counter < 1 << 44 and not flags & ~1, 'fence numbers')

    # -- section 9

    def slot_copy(self, slot, copy):
        addr = self.n - 3 + slot if copy else 1 + slot
        data, tags = self.cluster(addr)
        raw = data[:0x80]
        need(raw[:4] == b'TSLT' and raw[8:0x18] == self.nonce, 'slot magic')
        need(struct.unpack_from('<I', raw, 4)[0] == crc32c_without(raw, 4),
             'slot checksum')
        number, seq = struct.unpack_from('<QQ', raw, 0x18)
        root = struct.unpack_from('<QQQ', raw, 0x28)
        free, reserved, inodes, log, ino, flags, level = \
            struct.unpack_from('<QQQQIIB', raw, 0x40)
        used, chain = struct.unpack_from('<QQ', raw, 0x70)
        need(number and number % 2 == slot, 'slot number')
        need(root[2] <= seq and max(seq, used) < (1 << 44) - 1 - JUMP,
             'slot sequence')
        need(root[0] < self.n and root[1] < self.n and level <= 12 and
             reserved <= free <= self.n and log < self.logs and
             not flags & ~1 and not any(raw[0x69:0x70]), 'slot numbers')
        need(tags == self.records.encode(SLOT, slot, copy, max(seq, used),
                                         addr), 'slot tags')
        return (number, seq, root, level, free, reserved, inodes, flags, log,
                chain)

    def slot(self):
        found, why, good = [], [], set()
        for slot in (0, 1):
            for copy in (0, 1):
                try:
                    found.append(self.slot_copy(slot, copy))
                    good.add(slot)
                except Damage as damage:
                    why.append(str(damage))
        need(found, *why)
        self.lost = self.has_log and len(good) < 2
        (self.number, self.seq, self.root, self.level, self.free,
         self.reserved, self.inodes, self.flags, self.log_pos,
         self.chain) = max(found)

    # -- section 10

    def node_copy(self, copy, ptr, level, low, high):
        raw = self.checked(ptr[copy], NODE, level, copy, ptr[2])
        need(raw[:4] == b'TNDE' and raw[8:0x18] == self.nonce, 'node magic')
        need(struct.unpack_from('<I', raw, 4)[0] == crc32c_without(raw, 4),
             'node checksum')
        need(struct.unpack_from('<Q', raw, 0x18)[0] == ptr[2], 'node sequence')
        need(self.key(raw, 0x20) == low and self.key(raw, 0x30) == high,
             'node bounds')
        count, found, pad, values = struct.unpack_from('<HBBI', raw, 0x40)
        need(found == level and not pad, 'node level')
        need(0x48 + 24 * count <= values <= self.csize, 'node values')
        return self.node_items(raw, count, values, level, low, high)

    @staticmethod
    def key(raw, at):
        off, obj, kind = struct.unpack_from('<QIB', raw, at)
        return obj, kind, off

    def node_items(self, raw, count, values, level, low, high):
        items, spans = [], []
        for i in range(count):
            at = 0x48 + 24 * i
            key = self.key(raw, at)
            pos, length, pad = struct.unpack_from('<HHI', raw, at + 16)
            need(not pad and not any(raw[at + 13:at + 16]), 'item padding')
            need(length <= 1100, 'value length')
            need(pos + length <= self.csize, 'value place')
            if length:
                need(values <= pos, 'value place')
                spans.append((pos, pos + length))
            items.append((key, raw[pos:pos + length]))
        spans.sort()
        need(all(a[1] <= b[0] for a, b in zip(spans, spans[1:])), 'values')
        keys = [key for key, _ in items]
        need(all(a < b for a, b in zip(keys, keys[1:])) and
             (not keys or low <= keys[0] and keys[-1] < high), 'key order')
        if level:
            need(keys and keys[0] == low and
                 all(len(v) == 24 for _, v in items), 'node pointers')
        return items

    def node(self, ptr, level, low, high):
        want = ptr, level, low, high
        need(ptr[0] != ptr[1] and
             all(3 + self.logs <= addr < self.end for addr in ptr[:2]),
             'pointer', ptr)
        if want not in self.known:
            self.known[want] = self.either('node', self.node_copy, *want)
        return self.known[want]

    @staticmethod
    def children(items, high):
        ends = [key for key, _ in items[1:]] + [high]
        for (key, value), end in zip(items, ends):
            yield struct.unpack('<QQQ', value), key, end

    def tree(self, start, stop):
        """Items of the checkpoint from start on, before stop, in order."""
        def walk(ptr, level, low, high):
            if low >= stop or high <= start:
                return
            items = self.node(ptr, level, low, high)
            if not level:
                yield from (i for i in items if start <= i[0] < stop)
                return
            for child, key, end in self.children(items, high):
                yield from walk(child, level - 1, key, end)
        return walk(self.root, self.level, FIRST, LAST)

    def items(self, start, stop):
        """The same, as the log left them."""
        some = self.changed[bisect.bisect_left(self.changed, start):
                            bisect.bisect_left(self.changed, stop)]
        both = heapq.merge((i for i in self.tree(start, stop)
                            if i[0] not in self.changes),
                           ((key, self.changes[key]) for key in some),
                           key=lambda item: item[0])
        return (i for i in both if i[1] is not None)

    def get(self, key):
        """The value now, or None; also while the log is replayed."""
        if key in self.changes:
            return self.changes[key]
        obj, kind, off = key
        for _, value in self.tree(key, (obj, kind, off + 1)):
            return value
        return None

    def of(self, obj, kind, first=0, last=U64):
        for key, value in self.items((obj, kind, first),
                                     (obj, kind, last) if last < U64 else
                                     (obj, kind + 1, 0)):
            yield key[2], value

    # -- section 11

    def inode(self, number):
        for off, value in self.of(number, INODE):
            need(off == 0, 'inode', number, 'offset')
            return Inode(number, value)
        raise Damage('inode %d is not there' % number)

    @staticmethod
    def entry(off, value):
        need(len(value) > 8 and 0x100 <= off < 1 << 63, 'entry')
        number, kind, length, pad = struct.unpack_from('<IBBH', value)
        name = value[8:]
        need(number and not pad and len(name) == length and
             b'/' not in name and b'\0' not in name and
             name not in (b'.', b'..'), 'entry', off)
        return name, number, kind

    def hash(self, name):
        return siphash(self.nonce, name)

    def base(self, name):
        return self.hash(name) & 0x7fffffffffffff00 or 0x100

    def entries(self, number):
        for off, value in self.of(number, DIRENT):
            name, child, kind = self.entry(off, value)
            need(self.base(name) == off & ~0xff, 'hash of', name)
            yield name, child, kind

    def lookup(self, number, name):
        base = self.base(name)
        for off, value in self.of(number, DIRENT, base, base + 0x100):
            found, child, _ = self.entry(off, value)
            if found == name:
                return child
        raise Damage('no %s in directory %d' % (name, number))

    def path(self, path):
        number = 1
        for name in path.encode().split(b'/'):
            if name:
                number = self.lookup(number, name)
        return self.inode(number)

    def xattrs(self, number):
        pieces, found = dict(self.of(number, XATTR)), {}
        while pieces:
            off = min(pieces)
            head = pieces.pop(off)
            need(off & 0xff == 0 and len(head) > 8, 'attribute without a head')
            size, length = struct.unpack_from('<IB', head)
            name, value = head[8:8 + length], head[8 + length:]
            need(size <= 65536 and length == len(name) and b'\0' not in name and
                 not any(head[5:8]), 'attribute head')
            need(self.hash(name) & ~0xffff == off & ~0xffff, 'hash of', name)
            need(len(value) == min(size, 1016 - length), 'attribute head')
            while len(value) < size:
                off += 1
                piece = pieces.pop(off, b'')
                need(len(piece) == min(1024, size - len(value)),
                     'attribute piece')
                value += piece
            found[name.decode()] = value
        return found

    def target(self, inode):
        pieces = list(self.of(inode.number, INLINE))
        text = b''.join(value for _, value in pieces)
        need([off for off, _ in pieces] == list(range(0, len(text), 1024)) and
             len(text) == inode.size and 1 <= len(text) <= 4095 and
             b'\0' not in text, 'target of link', inode.number)
        return text

    def extent(self, lc, value):
        """Address, sequence, length."""
        need(len(value) == 24, 'extent length')
        addr, seq, count, pad = struct.unpack('<QQII', value)
        need(count and not pad and lc + count <= 1 << 32, 'extent range')
        need(bool(addr) == bool(seq), 'extent sequence')
        need(not addr or (3 + self.logs <= addr and
                          addr + count <= self.end), 'extent place')
        return addr, seq, count

    def extents(self, number):
        """11.5, checked: logical, address, sequence, length."""
        end = 0
        for lc, value in self.of(number, EXTENT):
            addr, seq, count = self.extent(lc, value)
            need(end <= lc, 'extents of inode', number)
            need(seq <= self.last, 'extent sequence')
            end = lc + count
            yield lc, addr, seq, count

    def data(self, inode, lc, addr, seq):
        return self.checked(addr, DATA, inode.number, lc, seq)

    def content(self, inode):
        out = bytearray(inode.size)
        if not inode.clusters:
            for off, value in self.of(inode.number, INLINE):
                need(off == 0 and 1 <= len(value) <= 1024 and
                     len(value) <= inode.size, 'inline content')
                out[:len(value)] = value
            return bytes(out)
        for lc, addr, seq, count in self.extents(inode.number):
            for i in range(count if addr else 0):
                at = (lc + i) * self.csize
                if at >= inode.size and inode.cut:
                    continue
                data = self.data(inode, lc + i, addr + i, seq)
                need(at < inode.size, 'cluster past the end')
                need(not any(data[max(0, inode.size - at):]),
                     'bytes past the end')
                out[at:at + self.csize] = data[:inode.size - at]
        return bytes(out)

    def walk(self, number=1, path=''):
        """Every name: path and inode."""
        for name, child, kind in self.entries(number):
            inode = self.inode(child)
            need(inode.mode >> 12 == kind, 'type of', path, name)
            here = path + '/' + name.decode()
            yield here, inode
            if stat.S_ISDIR(inode.mode):
                need(inode.parent == number, 'parent of', here)
                yield from self.walk(child, here)

    # -- section 12

    def orphans(self):
        return {off for off, _ in self.of(0, ORPHAN)}

    def nodes(self):
        """Both copies of every node."""
        todo = [(self.root, self.level, FIRST, LAST)]
        while todo:
            ptr, level, low, high = todo.pop()
            items = self.node_copy(0, ptr, level, low, high)
            need(items == self.node_copy(1, ptr, level, low, high),
                 'copies of node', ptr)
            yield from ptr[:2]
            if level:
                todo += [(child, level - 1, key, end)
                         for child, key, end in self.children(items, high)]

    def used(self):
        """Every cluster in use, each once, with both counts of the slot."""
        used = set(range(3 + self.logs)) | set(range(self.end, self.n))
        reserved = inodes = 0

        def use(addr):
            need(addr not in used, 'cluster', addr, 'is used twice')
            used.add(addr)

        for addr in self.nodes():
            use(addr)
        for (number, kind, _), value in self.items(FIRST, LAST):
            if kind != INODE or not number:
                continue
            inodes += 1
            clusters = 0
            for _, addr, _, count in self.extents(number):
                clusters += count
                reserved += 0 if addr else count
                for i in range(count if addr else 0):
                    use(addr + i)
            need(Inode(number, value).clusters == clusters, 'clusters of inode',
                 number)
        return used, reserved, inodes

    def region_free(self, used, r, bits):
        """Free clusters of region r; bits None: nothing stored."""
        free = 0
        for i in range(8192):
            c = 8192 * r + i
            fixed = c < 3 + self.logs or c >= self.end
            stored = bits and bits[i // 8] >> i % 8 & 1
            need(bool(stored or fixed) == (c in used or c >= self.n),
                 'cluster', c, 'in the bitmap')
            free += not (stored or fixed)
        return free

    def check_bitmaps(self, used):
        regions = dict(self.of(0, REGION))
        groups = dict(self.of(0, SUMMARY))
        total = 0
        for r in range((self.n + 8191) // 8192):
            need(len(regions.get(r, bytes(1024))) == 1024, 'region length')
            free = self.region_free(used, r, regions.get(r))
            total += free
            if r // 256 in groups:
                need(len(groups[r // 256]) == 512, 'summary length')
                counts = struct.unpack('<256H', groups[r // 256])
                need(counts[r % 256] == free, 'summary of region', r,
                     counts[r % 256], 'is', free)
            else:
                need(r not in regions, 'no summary of region', r)
        need(all(r * 8192 < self.n for r in regions), 'region past the end')
        need(total == self.free, 'free:', self.free, 'counted', total)

    def check_counts(self):
        used, reserved, inodes = self.used()
        need(reserved == self.reserved, 'reserved:', self.reserved, reserved)
        need(inodes == self.inodes, 'inodes:', self.inodes, 'found', inodes)
        return used

    def check(self):
        """All that the tree and the log say of themselves is true."""
        base = self.checkpoint()
        before = base.check_counts()
        base.check_bitmaps(before)
        need(not self.taken & before, 'taken, but in use')
        used = self.check_counts()
        need(used == (before | self.taken) - self.freed,
             'in use, and not by the log')
        need(self.reserved <= self.n - len(used), 'reserved but not free')
        self.check_links()
        self.check_errors()
        self.check_scrubs()

    def flaw(self, kind, off, value):
        """12.3: one item."""
        need(len(value) == 88, 'length of an error')
        (addr, seq, at, count, _, _, _, _, commit, owner, _, error, what,
         check, flags, place) = struct.unpack('<9QIIIBBBB', value)
        need((addr or what > 2) and addr < self.n and seq < 1 << 44 and commit < 1 << 44,
             'place of an error')
        need(error < 4096 and what <= 7 and check <= 5 and flags <= 1 and
             place < 10 and (what > 2 or not place), 'kind of an error')
        if kind == FLAW:
            first, end = at // self.csize, -(-(at + count) // self.csize)
            size = self.dev.profile.interval
            need(not what and owner and seq and count and not flags and
                 not at % size and not count % size and end <= 1 << 32 and
                 addr + end - first <= self.n, 'range of an error')
            need(off == owner << 32 | first, 'key of an error')
        else:
            need(what and not seq and not count and not at % 4096 and
                 (what == 3 or not at) and (what < 3 or not owner) and
                 off == what << 56 | place >> 1 << 53 |
                 (at // 4096 if what == 3 else addr), 'key of an error')

    def check_errors(self):
        items = [(kind, off, value) for kind in (FLAW, SPOT)
                 for off, value in self.of(0, kind)]
        need(len(items) <= 4096, 'number of errors')
        for item in items:
            self.flaw(*item)
        need(all(not off and len(value) == 8
                 for off, value in self.of(0, UNLISTED)), 'unlisted errors')

    def check_scrubs(self):
        """12.4, 12.5"""
        want = 0
        for off, value in self.of(0, SCRUB):
            need(off <= 1 and len(value) in (80, 88), 'item of a scrub')
            region, bit, _, _, error, state, flags, pad, runs = \
                struct.unpack('<48xQIIIIBBHI', value[:80])
            need(1 <= state <= 5 and (not off or state == 3) and
                 1 <= flags <= 7 and not pad and error < 4096 and
                 region <= -(-self.n // 8192) and bit < 8192,
                 'state of a scrub')
            want = runs if not off else want
        need(all(not off and len(value) == 48 and not any(value[45:])
                 for off, value in self.of(0, RESILVER)), 'resilver')
        pieces = list(self.of(0, SUSPECT))
        need([off for off, _ in pieces] == list(range(len(pieces))) and
             all(len(v) == 1024 for _, v in pieces[:-1]) and
             all(v and len(v) % 16 == 0 for _, v in pieces),
             'pieces of suspects')
        runs = list(struct.iter_unpack('<QQ', b''.join(v for _, v in pieces)))
        need(len(runs) == want <= 1024, 'number of suspects')
        end = 0
        for addr, count in runs:
            need(end <= addr and count and addr + count <= self.n,
                 'place of suspects')
            end = addr + count

    def check_links(self):
        names, dirs, sizes = {1: 0}, {1: 0}, {1: 0}
        for _, inode in self.walk():
            names[inode.number] = names.get(inode.number, 0) + 1
            if stat.S_ISDIR(inode.mode):
                dirs[inode.parent] = dirs.get(inode.parent, 0) + 1
        for number in names:
            inode = self.inode(number)
            if stat.S_ISDIR(inode.mode):
                sizes = sum(1 for _ in self.entries(number))
                need(inode.nlink == 2 + dirs.get(number, 0) and
                     inode.size == sizes, 'links of directory', number)
            else:
                need(inode.nlink == names[number], 'links of inode', number)
        cut = {number for number in names if self.inode(number).cut}
        need(self.orphans() & set(names) == cut, 'truncates cut short')
        unnamed = self.orphans() - set(names)
        need(all(not self.inode(number).nlink for number in unnamed),
             'orphan with links')
        need(len(names) + len(unnamed) == self.inodes,
             'inodes without a name')
        need(not self.orphans() or not self.flags & 1, 'orphans')

    # -- section 13

    def log_cluster(self, position):
        """15.1, but for the range of sequences."""
        data, tags = self.cluster(3 + position)
        kind, owner, index, seq = self.records.decode(tags, 3 + position)
        need((kind, owner, index) == (LOG, 0, position), 'no log')
        part = LogCluster(data)
        need(data[:4] == b'TLOG' and data[8:0x18] == self.nonce, 'log magic')
        need(struct.unpack_from('<I', data, 4)[0] == crc32c_without(data, 4),
             'log checksum')
        need(part.seq == seq and part.block < part.blocks <= self.logs and
             part.bytes <= self.csize - 128 and part.durable < seq and
             not any(data[0x68:128]), 'log numbers')
        return part

    def scan(self):
        """15.1: what counts, by position; 15.2: what is beyond."""
        found, self.newer = {}, False
        most = self.seq + (0 if self.flags & 1 else JUMP)
        for position in range(self.logs):
            try:
                part = self.log_cluster(position)
            except Damage:
                continue
            if self.seq < part.seq <= most:
                found[position] = part
            self.newer |= part.seq > most or \
                part.seq > self.seq and part.checkpoint > self.number
        return found

    def log(self):
        """Replay what counts."""
        self.slot_counts = self.reserved, self.inodes
        self.last, self.commits, self.dropped = self.seq, [], 0
        self.taken, self.freed, self.damaged = set(), set(), self.lost
        if not self.has_log:
            return
        found = self.scan()
        durable = max([p.durable for p in found.values()], default=0)
        self.follow(found, durable)
        self.damaged |= self.newer or durable > self.last
        self.dropped = max([p.seq - self.last for p in found.values()] + [0])
        self.replay()

    def follow(self, found, durable):
        """15.3"""
        position, chain, born = self.log_pos, self.chain, 0
        while True:
            commit = self.commit_at(found, position, self.last + 1, chain)
            if not commit:
                return
            commit.was_durable = commit.seq <= durable
            commit.read(self)
            born += sum(count for _, _, seq, count in commit.extents
                        if seq == commit.seq)
            need(born <= self.free, 'more clusters than were free')
            if not commit.was_durable and not commit.proven(self):
                return
            self.commits.append(commit)
            self.last, chain = commit.seq, commit.hash
            position = (position + commit.blocks) % self.logs

    def commit_at(self, found, position, seq, chain):
        first = found.get(position)
        if not first or first.seq != seq:
            return None
        parts = [found.get((position + i) % self.logs)
                 for i in range(first.blocks)]
        for i, part in enumerate(parts):
            if not part or part.block != i or part.head != first.head or \
                    (part.bytes < self.csize - 128 and i + 1 < len(parts)):
                return None
        if first.chain != chain or first.hash != log_hash(
                self.nonce, [part.raw for part in parts]):
            return None
        return Commit(parts)

    def replay(self):
        """15.4"""
        for commit in self.commits:
            for key, addr, seq, count in commit.extents:
                run = range(addr, addr + count) if seq == commit.seq else ()
                need(not self.taken.intersection(run), 'taken twice')
                self.taken.update(run)
        for commit in self.commits:
            self.replay_one(commit)
            need((self.inodes, self.reserved) ==
                 (commit.inodes, commit.reserved), 'counts of commit',
                 commit.seq)
        self.changed = sorted(self.changes)

    def replay_one(self, commit):
        before, after, mapped = [], [], 0
        for key, value in commit.ops:
            old = self.get(key)
            if key[1] == INODE and key[0]:
                self.inodes += (value is not None) - (old is not None)
            if key[1] != EXTENT:
                continue
            addr, _, count = self.extent(key[2], old) if old else (0, 0, 0)
            before += range(addr, addr + count if addr else 0)
            self.reserved -= 0 if addr else count
            addr, seq, count = self.extent(key[2], value) if value else \
                (0, 0, 0)
            need(seq <= commit.seq, 'extent of the future')
            self.reserved += 0 if addr else count
            if seq != commit.seq:
                after += range(addr, addr + count if addr else 0)
        need(len(set(before)) == len(before) and
             len(set(after)) == len(after), 'mapped twice')
        need(set(after) <= set(before), 'mapped from nowhere')
        self.freed |= set(before) - set(after)
        self.changes.update(commit.ops)

    def checkpoint(self):
        """The same without the log."""
        base = copy.copy(self)
        base.changes, base.changed, base.last = {}, [], self.seq
        base.reserved, base.inodes = self.slot_counts
        return base


class LogCluster:
    """13.1"""

    def __init__(self, raw):
        self.raw = raw
        (self.seq, self.chain, self.hash, self.checkpoint, self.durable,
         self.proof, self.inodes, self.reserved, self.next_ino, self.block,
         self.blocks, self.bytes) = struct.unpack_from('<8Q4I', raw, 0x18)
        self.head = raw[:4] + raw[8:0x5c] + raw[0x60:0x64] + raw[0x68:128]


class Commit:
    def __init__(self, parts):
        for name in ('seq', 'hash', 'proof', 'inodes', 'reserved', 'blocks',
                     'checkpoint', 'durable'):
            setattr(self, name, getattr(parts[0], name))
        self.text = b''.join(p.raw[128:128 + p.bytes] for p in parts)

    def read(self, fs):
        """13.2; then the extents that map clusters."""
        self.ops, at = {}, 0
        while at < len(self.text):
            need(len(self.text) - at >= 16, 'rest of an operation')
            off, obj, kind, op, length = \
                struct.unpack_from('<QIBBH', self.text, at)
            value = self.text[at + 16:at + 16 + length]
            key = obj, kind, off
            need(len(value) == length <= 1100, 'length of a value')
            need(op == 0 or (op == 1 and not length), 'operation')
            need(key < LAST and key not in self.ops and
                 not (obj == 0 and kind in (REGION, SUMMARY)), 'key', key)
            self.ops[key] = None if op else value
            at += 16 + length
        self.extents = [(key,) + fs.extent(key[2], value)
                        for key, value in self.ops.items()
                        if key[1] == EXTENT and value is not None]
        self.extents = [e for e in self.extents if e[1]]
        self.ops = list(self.ops.items())

    def proven(self, fs):
        """13.4"""
        total = 0
        try:
            for (number, _, lc), addr, seq, count in self.extents:
                for i in range(count if seq == self.seq else 0):
                    total += cluster_proof(fs, number, lc + i, addr + i, seq)
        except Damage:
            return False
        return total & U64 == self.proof


def log_hash(nonce, clusters):
    """13.3"""
    h = 0
    for raw in clusters:
        head = raw[:4] + bytes(4) + raw[8:0x28] + bytes(8) + raw[0x30:128]
        h = siphash(nonce, struct.pack('<QQQ', h, siphash(nonce, head),
                                       siphash(nonce, raw[128:])))
    return h


def stamp_hash(nonce, addr, stamps):
    return siphash(nonce, struct.pack('<Q', addr) + b''.join(stamps))


def cluster_proof(fs, number, lc, addr, seq):
    lanes = fs.records.encode(DATA, number, lc, seq, addr)
    stamps, p = [], fs.dev.profile
    need(fs.cluster(addr)[1] == lanes, 'application tag')
    for i in range(fs.ipc):
        _, meta = fs.dev.whole(fs.ipc * addr + i)
        stamps.append(p.stamp(meta))
    if fs.ipc == 1:
        at = 0 if p.place else p.size
        stamps.append(meta[at:at + 14])
    return stamp_hash(fs.nonce, addr, stamps)


# ---- the test: scenes --------------------------------------------------------------

FAILED = []


def scene(name, what, *args):
    try:
        what(*args)
        print('ok -', name)
    except (Damage, AssertionError, OSError,
            subprocess.SubprocessError) as error:
        FAILED.append(name)
        print('not ok - %s\n# %s: %s' %
              (name, type(error).__name__, error))
    sys.stdout.flush()


def same(found, want, what):
    assert found == want, '%s: %r, not %r' % (what, found, want)


def vectors():
    """Section 17."""
    digits = b'123456789'
    same(crc32c(digits), 0xe3069283, 'CRC-32C')
    same(crc16(digits), 0xd0db, 'CRC-16')
    same(crc64(digits), 0xae8b14860a799888, 'CRC-64')
    nonce = bytes(range(16))
    rec = Records(nonce)
    lanes = rec.encode(DATA, 16, 2, 1048578, 1234)
    same(lanes, [0x30f5, 0x6447, 0x0b4d, 0x27ce, 0x7d85, 0x4a88, 0x1e60,
                 0x52aa], 'lanes')
    same(rec.decode(lanes, 1234), (DATA, 16, 2, 1048578), 'decoded')
    same(rec.encode(DATA, 16, 3, 1048578, 1235)[7], 0x5964, 'last lane')
    for name, want in ((b'', 0x726fdb47dd0e0e31), (b'hello', 0x4fb3985767df81),
                       (b'user.x', 0x72fdd5b4b8c6f5bb)):
        same(siphash(nonce, name), want, name)
    for args, size, meta in (
            ((512, 8, 0, 8, 1, 0), 512, '4f1030f500002690'),
            ((512, 8, 0, 8, 3, 0), 512, '4f1030f500000000'),
            ((512, 8, 0, 8, 1, 1), 512, '7f8030f500002690'),
            ((4096, 16, 0, 16, 1, 2), 4096, '3e729f5f6750449c30f5000000002690'),
            ((4096, 64, 56, 8, 1, 0), 4096, '00' * 56 + '475830f500002690')):
        p = Profile(*args)
        data = bytes(i & 0xff for i in range(size))
        same(p.fault(data, bytes.fromhex(meta), 9872), None, 'tuple')
        same(p.split(bytes.fromhex(meta))[1], 0x30f5, 'tag')
    log_vectors(nonce, rec)


def log_vectors(nonce, rec):
    stamps, total = {}, 0
    for guard, addr, want in (('4f10', 1234, 0x5d08793f98537fc2),
                              ('4f10', 1235, 0x1ca72384a07815e4),
                              ('3e729f5f6750449c', 1234, 0xaf255cb2588a4ce1),
                              ('3e729f5f6750449c', 1235, 0x79c724e4ef4bf2c0)):
        lanes = rec.encode(DATA, 16, addr - 1232, 1048578, addr)
        stamps = [bytes.fromhex(guard) + struct.pack('>H', lane)
                  for lane in lanes]
        same(stamp_hash(nonce, addr, stamps), want, 'proof')
        total += want if guard == '4f10' else 0
    same(total, 0x79af9cc438cb95a6, 'proof of the commit')
    same(rec.encode(LOG, 0, 5, 1048578, 8)[0], 0x1a5a, 'lane of the log')
    ops = bytes.fromhex(
        '0200000000000000100000001400180'
        '0d20400000000000002001000000000000200000000000000'
        '10000000000000000000000003010000')

    def part(block, blocks, text):
        head = struct.pack('<4sI16s8Q4I24x', b'TLOG', 0, nonce, 1048578,
                           0x0123456789abcdef, 0, 7, 1048577, total, 2, 0, 17,
                           block, blocks, len(text))
        return head + text.ljust(3968, b'\0')

    one = part(0, 1, ops)
    same(siphash(nonce, one[:128]), 0xbed7501657818d4d, 'hash of a head')
    same(siphash(nonce, one[128:]), 0xdcd98f675581939b, 'hash of the rest')
    same(log_hash(nonce, [one]), 0x32901c1a11ce0535, 'hash')
    sealed = one[:0x28] + struct.pack('<Q', 0x32901c1a11ce0535) + one[0x30:]
    same(crc32c_without(sealed, 4), 0x2e00c23a, 'checksum')
    same(log_hash(nonce, [part(0, 2, bytes(3968)), part(1, 2, ops)]),
         0x1c66ff880900c281, 'hash of two clusters')


class Mount:
    """An image, mounted while in a with statement."""

    def __init__(self, top, name, profile, size):
        self.image = os.path.join(top, name + '.img')
        self.point = os.path.join(top, name)
        self.profile = profile
        os.mkdir(self.point)
        run(MKFS, '-q', '-F', profile, '-s', size, self.image)
        # A file: a daemon that kept our output would keep us waiting.
        self.options = 'log=' + self.image + '.log'
        self.more = ''

    def mode(self, more):
        """Options of the next mount alone."""
        self.more = ',' + more
        return self

    def __enter__(self):
        run(TAGFS, '-o', self.options + self.more, self.image, self.point)
        self.more = ''
        return self

    def crash(self, what, *args):
        """Mount, do something, and kill the daemon at once."""
        with open(self.image + '.err', 'w') as err:
            daemon = subprocess.Popen([TAGFS, '-f', '-o', self.options,
                                       self.image, self.point], stderr=err,
                                      stdin=subprocess.DEVNULL)
        try:
            for _ in range(600):
                if self.is_mounted():
                    break
                time.sleep(0.05)
            assert self.is_mounted(), 'no mount'
            what(self, *args)
        finally:
            daemon.kill()
            daemon.wait()
            self.unmount(lazily=True)

    def unmount(self, lazily=False):
        if os.geteuid() == 0:
            run('umount', *['-l'] * lazily, self.point)
        else:
            run('fusermount3', '-z' if lazily else '-u', *['-u'] * lazily,
                self.point)

    def __exit__(self, *unused):
        self.unmount()
        with open(self.image, 'rb') as file:	# until the daemon is gone
            for _ in range(600):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except OSError:
                    time.sleep(0.05)
        raise AssertionError('the daemon does not end')

    def at(self, path):
        return self.point + path

    def is_mounted(self):
        return os.path.ismount(self.point)


def run(*argv):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, timeout=120)


def facts(path):
    """What the kernel says of a name, and what the medium must."""
    st = os.lstat(path)
    return (st.st_ino, st.st_mode, st.st_uid, st.st_gid, st.st_nlink,
            st.st_size, st.st_mtime_ns, st.st_rdev)


def inode_facts(inode):
    return (inode.number, inode.mode, inode.uid, inode.gid, inode.nlink,
            inode.size, inode.times[1], os.makedev(inode.major, inode.minor))


def survey(top):
    """Every name below top: facts, and content, target or attributes."""
    seen = {}
    for where, dirs, files in os.walk(top):
        for name in dirs + files:
            path = os.path.join(where, name)
            st = os.lstat(path)
            more = None
            if stat.S_ISLNK(st.st_mode):
                more = os.readlink(path).encode()
            elif stat.S_ISREG(st.st_mode):
                with open(path, 'rb') as file:
                    more = file.read()
            attrs = {} if stat.S_ISLNK(st.st_mode) else \
                {a: os.getxattr(path, a) for a in os.listxattr(path)}
            seen[path[len(top):]] = [None, more, attrs]
    for path in seen:		# the last thing: reading may change times
        seen[path][0] = facts(top + path)
    return seen


def read_all(fs):
    """As survey()."""
    found = {}
    for path, inode in fs.walk():
        more = None
        if stat.S_ISLNK(inode.mode):
            more = fs.target(inode)
        elif stat.S_ISREG(inode.mode):
            more = fs.content(inode)
        found[path] = [inode_facts(inode), more, fs.xattrs(inode.number)]
    return found


def compare(image, want, clean=1):
    fs = Tagfs(image)
    same(fs.flags & 1, clean, 'clean')
    found = read_all(fs)
    same(sorted(found), sorted(want), 'names')
    for path in want:
        for i, what in enumerate(('facts', 'content', 'attributes')):
            assert found[path][i] == want[path][i] or i != 0, \
                '%s of %s: %r, not %r' % (what, path, found[path][i],
                                          want[path][i])
            assert found[path][i] == want[path][i], '%s of %s' % (what, path)
        same(fs.path(path).number, want[path][0][0], 'lookup of ' + path)
    fs.check()
    return fs


def write(path, data, at=0):
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(fd, data, at)
    os.close(fd)


def fill(m, rng, files):
    """One of everything."""
    write(m.at('/empty'), b'')
    write(m.at('/small'), b'in the tree\n')
    write(m.at('/limit'), rng.randbytes(1024))
    write(m.at('/over'), rng.randbytes(1025))
    write(m.at('/large'), rng.randbytes(300001))
    write(m.at('/holes'), rng.randbytes(5000), 200000)
    write(m.at('/grown'), b'grown')
    os.truncate(m.at('/grown'), 70000)
    write(m.at('/promised'), rng.randbytes(100))
    fd = os.open(m.at('/promised'), os.O_RDWR)
    os.posix_fallocate(fd, 0, 200000)
    os.pwrite(fd, rng.randbytes(9000), 100000)
    os.close(fd)
    os.utime(m.at('/promised'), ns=(1, -(10 ** 9) - 7))
    os.mkdir(m.at('/dir'))
    for i in range(files):
        write(m.at('/dir/%s-%d' % ('n' * (i % 200), i)), rng.randbytes(i % 700))
    os.makedirs(m.at('/a/b/c'), 0o750)
    os.link(m.at('/large'), m.at('/a/b/also'))
    os.symlink('large', m.at('/short'))
    os.symlink('x' * 3000, m.at('/a/long'))
    os.mkfifo(m.at('/a/fifo'), 0o600)
    for size in (0, 10, 1000, 1024, 5000):
        os.setxattr(m.at('/large'), 'user.a%d' % size, rng.randbytes(size))
    os.setxattr(m.at('/a/b'), 'user.' + 'n' * 250, rng.randbytes(100))
    if os.geteuid() == 0:
        os.mknod(m.at('/a/null'), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.chown(m.at('/small'), 1234, 5678)
        os.setxattr(m.at('/a'), 'trusted.t', b't')


def change(m, rng, files):
    """Overwritten in parts, cut, removed, moved."""
    write(m.at('/large'), rng.randbytes(10000), 12345)
    write(m.at('/large'), rng.randbytes(4096), 65536)
    os.truncate(m.at('/over'), 77)
    os.truncate(m.at('/holes'), 202000)
    write(m.at('/small'), rng.randbytes(3000), 5)
    os.unlink(m.at('/limit'))
    os.rename(m.at('/empty'), m.at('/a/b/c/moved'))
    os.removexattr(m.at('/large'), 'user.a5000')
    os.setxattr(m.at('/large'), 'user.a1000', rng.randbytes(3000))
    for i in range(0, files, 3):
        os.unlink(m.at('/dir/%s-%d' % ('n' * (i % 200), i)))


def both_agree(m, rng, files):
    for what in (fill, change):
        with m:
            what(m, rng, files)
            want = survey(m.point)
        compare(m.image, want)
    return want


def sync(m, path='/'):
    fd = os.open(m.at(path), os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def live(m, rng):
    """Several commits, the last one with data, and something after it."""
    for i in range(12):
        write(m.at('/log%d' % (i % 5)), rng.randbytes(6000 * (i % 4)), 3000 * i)
        os.setxattr(m.at('/log%d' % (i % 5)), 'user.i', b'%d' % i)
        sync(m, '/log%d' % (i % 5))
    os.truncate(m.at('/large'), 20000)
    os.rename(m.at('/log0'), m.at('/a/log'))
    os.unlink(m.at('/log1'))
    fd = os.open(m.at('/log2'), os.O_RDWR)
    os.posix_fallocate(fd, 0, 300000)
    os.close(fd)
    write(m.at('/log3'), rng.randbytes(50000), 10000)
    sync(m)
    write(m.at('/late'), b'not synced')


def logged(m, rng, files):
    """A crash: the reader, a mount that only reads and one that writes have
    the same."""
    def more(m):
        change(m, rng, files)
        sync(m)
        live(m, rng)

    with m:
        fill(m, rng, files)
    m.crash(more)
    fs = Tagfs(m.image)
    assert len(fs.commits) > 10 and not fs.damaged, 'no log'
    mounts_agree(m, fs)


def mounts_agree(m, fs, clean=0):
    want = read_all(fs)
    with m.mode('ro'):
        seen = survey(m.point)
    compare(m.image, seen, clean)
    same(sorted(seen), sorted(want), 'names')
    with m:
        seen = survey(m.point)
    for path in want:
        same(seen[path], want[path], 'after recovery: ' + path)
    compare(m.image, seen)


def byte_of(fs, addr):
    i = 8 * addr + 5
    return fs.dev.zone_at(i // fs.dev.per) + 8192 + \
        i % fs.dev.per * fs.dev.profile.interval


def bad_proof(m, rng):
    """Without its data the last commit is none, and nothing else is lost."""
    for _ in range(20):		# unless it was marked as durable in time
        m.crash(live, rng)
        fs = Tagfs(m.image)
        born = [e[1] for e in fs.commits[-1].extents if e[2] == fs.last]
        if born and not fs.commits[-1].was_durable:
            break
        with m:
            pass
    addr = born[-1]
    flip(m.image, byte_of(fs, addr))
    after = Tagfs(m.image)
    same((after.last, after.dropped, after.damaged),
         (fs.last - 1, 1, False), 'last, dropped, damaged')
    mounts_agree(m, after)


def bad_log(m, rng):
    """A durable commit that is gone is damage: both read what is before."""
    m.crash(live, rng)
    fs = Tagfs(m.image)
    flip(m.image, byte_of(fs, 3 + (fs.log_pos + 1) % fs.logs))
    after = Tagfs(m.image)
    need(after.damaged and len(after.commits) < 2, 'not seen')
    want = read_all(after)
    with m:
        seen = survey(m.point)
        try:
            write(m.at('/no'), b'')
        except OSError as error:
            same(error.errno, errno.EROFS, 'error')
        else:
            raise AssertionError('it can be written')
    for path in want:
        same(seen[path], want[path], path)
    compare(m.image, want, 0)


def flip(image, at, count=1):
    with open(image, 'r+b') as file:
        file.seek(at)
        old = file.read(count)
        file.seek(at)
        file.write(bytes(b ^ 0x55 for b in old))


def bad_data(m):
    """What SPEC.md calls an error is one in both."""
    fs = Tagfs(m.image)
    inode = fs.path('/large')
    lc, addr, _, _ = next(fs.extents(inode.number))
    i = 8 * addr + 3
    at = fs.dev.zone_at(i // fs.dev.per) + 8192 + \
        i % fs.dev.per * fs.dev.profile.interval
    flip(m.image, at)
    try:
        Tagfs(m.image).content(inode)
    except Damage as damage:
        same(str(damage), 'interval %d guard' % i, 'damage')
    else:
        raise AssertionError('the reader did not see it')
    with m:
        try:
            with open(m.at('/large'), 'rb') as file:
                file.read()
        except OSError as error:
            same(error.errno, errno.EIO, 'error')
        else:
            raise AssertionError('tagfs did not see it')
    flip(m.image, at)


def bad_pages(m, want):
    """4.4: nothing is lost with an older page, nor with a sector of the newer
    one that both have: the data decide."""
    fs, both = Tagfs(m.image), 0
    for zone in range(fs.dev.zones):
        newer, older = fs.dev.zone_pages(zone)
        if newer.kind != OURS or older.kind != OURS:
            continue
        at = fs.dev.zone_at(zone)
        pages = [at + page.gen % 2 * 4096 for page in (newer, older)]
        alike = [i for i in range(512, 4096, 512)
                 if newer.raw[i:i + 512] == older.raw[i:i + 512]]
        if zone % 2 and alike:
            flip(m.image, pages[0] + alike[0], 512)
            both += 1
        else:
            flip(m.image, pages[1] + zone // 2 % 8 * 512, 512)
    assert both, 'no zone to damage'
    compare(m.image, want)
    with m:
        seen = survey(m.point)
    for path in want:
        same(seen[path][1:], want[path][1:], 'after damage: ' + path)
    compare(m.image, seen)


def bad_header(m, want):
    """Either copy of both headers will do."""
    fs = Tagfs(m.image)
    flip(m.image, 0x28)
    flip(m.image, fs.dev.zone_at(0) + 8192 + 0x20)
    compare(m.image, want)
    with m:
        pass
    same(Container.is_header(Container(m.image).bytes(0, 4096), 0), True,
         'header repaired')
    Tagfs(m.image).super_copy(0, 0)


def test_log(m, rng, files):
    profile = m.profile
    scene('%s: a log, after a crash' % profile, logged, m, rng, files)
    if profile == '512+8':
        scene('a commit without its data is dropped by both', bad_proof, m,
              rng)
        scene('a hole in the log is damage to both', bad_log, m, rng)


def test_clean(m, rng, files):
    want, profile = {}, m.profile
    scene('%s: written by tagfs, read by SPEC.md' % profile,
          lambda: want.update(both_agree(m, rng, files)))
    if profile == '512+8' and want:
        scene('a flipped bit is an error in both', bad_data, m)
        scene('damaged tuple pages are read alike', bad_pages, m, want)
        scene('either copy of a header will do', bad_header, m, want)


def test(top):
    rng = random.Random(1)
    scene('SPEC.md: test vectors', vectors)
    for profile, size, files in (('512+8', '64M', 900),
                                 ('512+16:type2:first', '16M', 60),
                                 ('512+8:type3:ip', '16M', 60),
                                 ('4096+64:type1', '96M', 60),
                                 ('4096+16:type3', '96M', 60)):
        for name, part in (('clean', test_clean), ('log', test_log)):
            m = Mount(top, name + profile, profile, size)
            try:
                part(m, rng, files)
            finally:
                if m.is_mounted():
                    m.__exit__()


def main_test():
    global MKFS, TAGFS
    here = os.path.abspath(os.environ.get('top_builddir', '.'))
    MKFS = os.environ.get('MKFS', os.path.join(here, 'mkfs.tagfs'))
    TAGFS = os.environ.get('TAGFS', os.path.join(here, 'tagfs'))
    if not (os.access(MKFS, os.X_OK) and os.access(TAGFS, os.X_OK)):
        print('SKIP: tagfs is not built')
        return 77
    if not os.access('/dev/fuse', os.R_OK | os.W_OK):
        print('SKIP: no access to /dev/fuse')
        return 77
    if os.geteuid() and not shutil.which('fusermount3'):
        print('SKIP: no fusermount3')
        return 77
    top = tempfile.mkdtemp(prefix='tagfs-spec.')
    try:
        test(top)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    return 1 if FAILED else 0


def show_log(fs):
    print('checkpoint %d of commit %d%s' % (fs.number, fs.seq,
                                            ', clean' if fs.flags & 1 else ''))
    for c in fs.commits:
        print('commit %d: %d clusters, %d changes, %s' %
              (c.seq, c.blocks, len(c.ops),
               'durable' if c.was_durable else 'proven'))
    if fs.dropped:
        print('%d commits dropped' % fs.dropped)
    if fs.damaged:
        print('damaged: only to be read')


def main(argv):
    if len(argv) == 1:
        return main_test()
    try:
        fs = Tagfs(argv[2])
        if argv[1] == 'list':
            for path, inode in fs.walk():
                print('%10d %6o %12d %s' % (inode.number, inode.mode,
                                            inode.size, path))
        elif argv[1] == 'cat':
            sys.stdout.buffer.write(fs.content(fs.path(argv[3])))
        elif argv[1] == 'check':
            fs.check()
        elif argv[1] == 'log':
            show_log(fs)
        else:
            raise IndexError
    except Damage as damage:
        print('%s: %s' % (argv[2], damage), file=sys.stderr)
        return 1
    except IndexError:
        print(DOC, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
