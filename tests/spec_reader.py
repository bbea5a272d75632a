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

 (1) Whatever is read is checked, by the section of SPEC.md that is cited; what
     does not hold ends in Damage.
 (2) The test writes through a mount and reads through this file.  Exit status
     77: no python3, no FUSE, or nothing is built.
"""
import errno
import fcntl
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


def need(true, *what):
    if not true:
        raise Damage(' '.join(str(w) for w in what))


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

    def read(self, i):
        """Data and application tag of an interval, verified."""
        p = self.profile
        need(i < self.intervals, 'interval', i, 'is not there')
        data = self.bytes(self.zone_at(i // self.per) + 8192 +
                          i % self.per * p.interval, p.interval)
        meta = self.metadata(i, data)
        fault = p.fault(data, meta, i)
        need(not fault, 'interval', i, fault)
        return data, p.split(meta)[1]


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
        t = mix(addr ^ self.tweak)
        l = sum(lanes[n] << 15 * n for n in range(4))
        r = sum(lanes[4 + n] << 15 * n for n in range(4))
        for i in (3, 2, 1, 0):
            l, r = r ^ self.f(l, i, t), l
        need(l >> 16 & 0xff == 0x5a and 1 <= l >> 56 <= 5, 'no record')
        return (l >> 56, l >> 24 & 0xffffffff, r >> 28,
                (l & 0xffff) << 28 | r & 0xfffffff)


# ---- sections 5 and 7 to 12: the filesystem ---------------------------------------

SUPER, SLOT, NODE, DATA = 1, 2, 3, 5
REGION, SUMMARY, ORPHAN, INODE, XATTR, DIRENT, INLINE, EXTENT = \
    1, 2, 3, 16, 17, 18, 19, 20
FIRST, LAST = (0, 0, 0), (0xffffffff, 0xff, U64)


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
        need(not flags, 'inode', number, 'flags')


class Tagfs:
    def __init__(self, path):
        self.dev = Container(path)
        self.csize = 8 * self.dev.profile.interval
        self.known = {}			# nodes
        self.superblock()
        self.slot()

    def cluster(self, addr):
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
        need(version == 1 and not incompat, 'superblock version or features')
        need(raw[0x98] == copy and not any(raw[0x99:]), 'superblock padding')
        n, csize, interval, log, logs = \
            struct.unpack_from('<QIIQQ', raw, 0x70)
        need(csize == self.csize and interval == self.dev.profile.interval,
             'superblock geometry')
        need(1024 <= n <= 1 << 44 and 8 * n <= self.dev.intervals and
             log == 3 and 1 <= logs <= n // 2 and 0 < seq < 1 << 44,
             'superblock numbers')
        need(not copy or n - 1 == addr, 'superblock place')
        records = Records(raw[0x60:0x70])
        need(tags == records.encode(SUPER, 0, copy, seq, addr),
             'superblock tags')
        return seq, copy, raw, records, n, logs

    def superblock(self):
        found, why = [], []
        last = self.dev.intervals // 8 - 1
        for copy in (0, 1):
            try:
                found.append(self.super_copy(copy, last))
                last = found[0][4] - 1
            except Damage as damage:
                why.append(str(damage))
        need(found, *why)
        best = max(found, key=lambda f: (f[0], -f[1]))
        _, _, raw, self.records, self.n, self.logs = best
        self.nonce = raw[0x60:0x70]
        self.label = raw[0x20:0x40].rstrip(b'\0').decode()

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
        need(number and number % 2 == slot, 'slot number')
        need(root[2] <= seq < (1 << 44) - 1 - (1 << 20), 'slot sequence')
        need(root[0] < self.n and root[1] < self.n and level <= 12 and
             reserved <= free <= self.n and log < self.logs and
             not flags & ~1 and not any(raw[0x69:]), 'slot numbers')
        need(tags == self.records.encode(SLOT, slot, copy, seq, addr),
             'slot tags')
        return number, seq, root, level, free, reserved, inodes, flags

    def slot(self):
        found, why = [], []
        for slot in (0, 1):
            for copy in (0, 1):
                try:
                    found.append(self.slot_copy(slot, copy))
                except Damage as damage:
                    why.append(str(damage))
        need(found, *why)
        (self.number, self.seq, self.root, self.level, self.free,
         self.reserved, self.inodes, self.flags) = max(found)

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
            if length:
                need(values <= pos and pos + length <= self.csize, 'value place')
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
             all(3 + self.logs <= addr < self.n - 3 for addr in ptr[:2]),
             'pointer', ptr)
        if want not in self.known:
            self.known[want] = self.either('node', self.node_copy, *want)
        return self.known[want]

    @staticmethod
    def children(items, high):
        ends = [key for key, _ in items[1:]] + [high]
        for (key, value), end in zip(items, ends):
            yield struct.unpack('<QQQ', value), key, end

    def items(self, start, stop):
        """Items from start on, before stop, in order."""
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

    def extents(self, number):
        """11.5, checked: logical, address, sequence, length."""
        end = 0
        for lc, value in self.of(number, EXTENT):
            need(len(value) == 24, 'extent length')
            addr, seq, count, pad = struct.unpack('<QQII', value)
            need(count and not pad and end <= lc and lc + count <= 1 << 32,
                 'extent of inode', number)
            need(bool(addr) == bool(seq) and seq <= self.seq,
                 'extent sequence')
            need(not addr or (3 + self.logs <= addr and
                              addr + count <= self.n - 3), 'extent place')
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
        used = set(range(3 + self.logs)) | set(range(self.n - 3, self.n))
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
            fixed = c < 3 + self.logs or c >= self.n - 3
            stored = bits and bits[i // 8] >> i % 8 & 1
            need(bool(stored or fixed) == (c in used or c >= self.n),
                 'cluster', c, 'in the bitmap')
            free += not (stored or fixed)
        return free

    def check(self):
        """All that the tree says of itself is true."""
        used, reserved, inodes = self.used()
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
        need(reserved == self.reserved, 'reserved:', self.reserved, reserved)
        need(inodes == self.inodes, 'inodes:', self.inodes, 'found', inodes)
        self.check_links()

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
        need(len(names) == self.inodes, 'inodes without a name')
        need(not list(self.of(0, ORPHAN)), 'orphans')


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


class Mount:
    """An image, mounted while in a with statement."""

    def __init__(self, top, name, profile, size):
        self.image = os.path.join(top, name + '.img')
        self.point = os.path.join(top, name)
        os.mkdir(self.point)
        run(MKFS, '-q', '-F', profile, '-s', size, self.image)

    def __enter__(self):
        # A file: a daemon that kept our output would keep us waiting.
        run(TAGFS, '-o', 'log=' + self.image + '.log', self.image, self.point)
        return self

    def __exit__(self, *unused):
        if os.geteuid() == 0:
            run('umount', self.point)
        else:
            run('fusermount3', '-u', self.point)
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


def compare(image, want):
    fs = Tagfs(image)
    same(fs.flags & 1, 1, 'clean')
    found = {}
    for path, inode in fs.walk():
        more = None
        if stat.S_ISLNK(inode.mode):
            more = fs.target(inode)
        elif stat.S_ISREG(inode.mode):
            more = fs.content(inode)
        found[path] = [inode_facts(inode), more, fs.xattrs(inode.number)]
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


def test(top):
    rng = random.Random(1)
    scene('SPEC.md: test vectors', vectors)
    for profile, size, files in (('512+8', '64M', 900),
                                 ('512+16:type2:first', '16M', 60),
                                 ('512+8:type3:ip', '16M', 60),
                                 ('4096+64:type1', '96M', 60),
                                 ('4096+16:type3', '96M', 60)):
        want = {}
        m = Mount(top, profile, profile, size)
        try:
            scene('%s: written by tagfs, read by SPEC.md' % profile,
                  lambda: want.update(both_agree(m, rng, files)))
            if profile == '512+8' and want:
                scene('a flipped bit is an error in both', bad_data, m)
                scene('damaged tuple pages are read alike', bad_pages, m, want)
                scene('either copy of a header will do', bad_header, m, want)
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
