#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""ledger.py - write, fsync, note what was answered; later, see that it is there.

	ledger.py run DIR JOURNAL SEED		until it is ended or DIR fails,
						for a minute at most
	ledger.py check DIR JOURNAL [clean]	clean: it was unmounted properly

One ledger goes on over many mounts of one filesystem. Its writers, each a
process with a directory and a journal of its own on another file system, are
 - log: appends records to a file that follows from the writer's number;
 - mail: messages come as tmp/N, are renamed to new/N, and go again;
 - tree: a directory each time, with a file in it.

 (1) The journal has a line before something is begun (B), after it was
     written (W), and after a sync was answered (S).
 (2) After a crash all that S says is there, byte for byte, and what was only
     begun is there as a whole, in part, or not: but never anything else.
     After a clean end all that W says is there.
 (3) Nothing in the directories may fail to be read.
 (4) Writers stay in DIR as it is when they start, whatever is mounted there
     later. JOURNAL/ready says that they do.
"""
import collections
import os
import random
import shutil
import signal
import sys
import zlib

WRITERS = ('log', 'log', 'mail', 'mail', 'tree')
KEPT = 12		# messages and directories
LOG_MAX = 400000	# bytes, then it begins anew
BLOCK = 4096


def content(writer, number):
    """A record: its bytes follow from its number, and have a checksum."""
    rand = random.Random(writer * 1000003 + number)
    body = rand.randbytes(rand.choice((10, 300, 900, 5000, 20000)))
    head = b'%d %d %d %08x\n' % (writer, number, len(body), zlib.crc32(body))
    return head + body


def sync_path(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_file(path, data, sync):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


class Journal:
    """Lines "LETTER WHAT NUMBER"."""

    def __init__(self, path):
        self.path = path
        self.last = collections.defaultdict(int)	# of letter and what
        if os.path.exists(path):
            with open(path, encoding='ascii') as lines:
                for line in lines:
                    letter, what, number = line.split()
                    self.last[letter, what] = int(number)
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, letters, what, number):
        for letter in letters:
            self.last[letter, what] = number
            os.write(self.fd, b'%s %s %d\n' % (letter.encode(), what.encode(),
                                               number))


# ---- writers: made with a directory, their journal and number ----------------

class Writer:
    def __init__(self, directory, journal, number):
        self.directory = directory
        self.journal = journal
        self.number = number
        self.bad = []

    def path(self, *parts):
        return os.path.join(self.directory, *[str(p) for p in parts])

    def must(self, true, *what):
        if not true:
            self.bad.append(' '.join([self.directory] + [str(w) for w in what]))

    def read(self, *parts):
        try:
            with open(self.path(*parts), 'rb') as f:
                return f.read()
        except OSError as e:
            self.must(False, *parts, e.strerror)
            return b''

    def listing(self, *parts):
        return {int(name) for name in os.listdir(self.path(*parts))}


class Log(Writer):
    """Generation g of the log has the records from g * 1000000 on."""

    def prepare(self):
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory)
            write_file(self.path('log'), b'', True)
            sync_path(os.path.dirname(self.directory))
            self.journal.note('BWS', 'gen', 0)
            self.journal.note('BWS', 'size', 0)

    def stream(self, gen, size):
        data, number = b'', gen * 1000000
        while len(data) < size:
            data += content(self.number, number)
            number += 1
        return data, number

    def run(self, rand):
        gen = self.journal.last['S', 'gen']
        size = self.journal.last['S', 'size']
        data, number = self.stream(gen, size)
        assert len(data) == size
        fd = os.open(self.path('log'), os.O_WRONLY | os.O_APPEND)
        os.ftruncate(fd, size)		# as programs do with what is not whole
        os.fsync(fd)
        while size < LOG_MAX:
            data = content(self.number, number)
            self.journal.note('B', 'size', size + len(data))
            assert os.write(fd, data) == len(data)
            size += len(data)
            number += 1
            self.journal.note('W', 'size', size)
            if rand.random() < 0.6:
                os.fsync(fd)
                self.journal.note('S', 'size', size)
        self.rotate(gen + 1)

    def rotate(self, gen):
        self.journal.note('B', 'gen', gen)
        write_file(self.path('next'), b'', True)
        os.rename(self.path('next'), self.path('log'))
        sync_path(self.directory)
        self.journal.note('BWS', 'size', 0)
        self.journal.note('WS', 'gen', gen)

    def check(self, durable):
        last = self.journal.last
        got = self.read('log')
        if last['B', 'gen'] != last['S', 'gen'] and not got:
            # A new one was begun and is there.
            self.journal.note('BWS', 'size', 0)
            self.journal.note('WS', 'gen', last['B', 'gen'])
        size = last[durable, 'size']
        self.must(size <= len(got) <= last['B', 'size'], 'log:', len(got),
                  'bytes, of', size, 'that were answered')
        want, _ = self.stream(last['S', 'gen'], len(got))
        self.must(got[:size] == want[:size], 'log: what was answered differs')
        while size < len(got):		# blocks come in any order
            end = min(size - size % BLOCK + BLOCK, len(got))
            same = os.path.commonprefix([got[size:end], want[size:end]])
            self.must(not any(got[size + len(same):end]),
                      'log: neither a record nor nothing at', size)
            size = end
        self.continue_at(got)

    def continue_at(self, got):
        """Records that are whole may stay; the journal ends there."""
        size, number = 0, self.journal.last['S', 'gen'] * 1000000
        while size < len(got):
            data = content(self.number, number)
            if got[size:size + len(data)] != data:
                break
            size += len(data)
            number += 1
        self.journal.note('BWS', 'size', size)


class Mail(Writer):
    def prepare(self):
        if not os.path.isdir(self.directory):
            for name in ('', 'tmp', 'new'):
                os.mkdir(self.path(name))
            sync_path(self.path('new'))

    def run(self, rand):
        number = self.journal.last['B', 'come']
        gone = self.journal.last['B', 'gone']
        for old in self.listing('new'):		# that came back
            if old <= gone:
                os.unlink(self.path('new', old))
        while True:
            number += 1
            self.journal.note('B', 'come', number)
            write_file(self.path('tmp', number), content(self.number, number),
                       True)
            os.rename(self.path('tmp', number), self.path('new', number))
            self.journal.note('W', 'come', number)
            while number - gone > KEPT:
                gone += 1
                self.journal.note('B', 'gone', gone)
                if os.path.exists(self.path('new', gone)):
                    os.unlink(self.path('new', gone))
                self.journal.note('W', 'gone', gone)
            if rand.random() < 0.7:
                sync_path(self.path('new'))
                self.journal.note('S', 'come', number)
                self.journal.note('S', 'gone', gone)

    def check(self, durable):
        last = self.journal.last
        there = self.listing('new')
        lost = self.lost(there, durable)
        self.must(not lost, 'lost messages', lost)
        extra = [n for n in there if n <= last[durable, 'gone'] or
                 n > last['B', 'come']]
        self.must(not extra, 'messages that should not be there', extra)
        for number in there:
            self.must(self.read('new', number) == content(self.number, number),
                      'message', number, 'differs')
        for number in self.listing('tmp'):
            self.read('tmp', number)
            os.unlink(self.path('tmp', number))

    def lost(self, there, durable):
        """Numbers are not used again: those that never came are a gap, which
        is not lost while a later mount knows that it was one."""
        gaps = self.journal.last
        lost = []
        for number in range(gaps['B', 'gone'] + 1, gaps['B', 'come'] + 1):
            if number in there or gaps['G', str(number)]:
                continue
            if number <= gaps[durable, 'come']:
                lost.append(number)
            else:
                self.journal.note('G', str(number), 1)
        return lost


class Tree(Writer):
    """Even files are synced, of odd ones only the directory: the file may be
    without content then, but it is there."""

    def prepare(self):
        if not os.path.isdir(self.directory):
            os.mkdir(self.directory)
            sync_path(os.path.dirname(self.directory))

    def run(self, rand):
        number = self.journal.last['B', 'tree']
        for old in self.listing():
            if old <= number - KEPT:
                shutil.rmtree(self.path(old))
        while True:
            number += 1
            self.journal.note('B', 'tree', number)
            os.mkdir(self.path(number))
            write_file(self.path(number, 'file'), content(self.number, number),
                       number % 2 == 0)
            self.journal.note('W', 'tree', number)
            if number % 2:
                sync_path(self.path(number))
            self.journal.note('S', 'tree', number)
            if number > KEPT:
                shutil.rmtree(self.path(number - KEPT))

    def check(self, durable):
        last = self.journal.last
        begun = last['B', 'tree']
        for number in range(max(begun - KEPT + 1, 1), begun + 1):
            if last['G', str(number)]:
                continue
            there = os.path.exists(self.path(number, 'file'))
            same = there and self.read(number, 'file') == \
                content(self.number, number)
            if number <= last[durable, 'tree']:
                self.must(there, 'no file', number)
                self.must(same or (durable == 'S' and number % 2), 'file',
                          number, 'differs')
            if not same:
                self.journal.note('G', str(number), 1)	# since a crash
        for number in self.listing():
            for name in os.listdir(self.path(number)):
                self.read(number, name)


KINDS = {'log': Log, 'mail': Mail, 'tree': Tree}


def writers(directory, journals):
    for number, kind in enumerate(WRITERS):
        name = '%s%d' % (kind, number)
        yield KINDS[kind](os.path.join(directory, name),
                          Journal(os.path.join(journals, name)), number)


def run_one(writer, seed):
    rand = random.Random(seed * 100 + writer.number)
    try:
        writer.prepare()
        while True:
            writer.run(rand)
    except OSError:
        os._exit(0)		# somebody has taken the file system away (4)


def run(directory, journals, seed):
    os.makedirs(journals, exist_ok=True)
    journals = os.path.abspath(journals)
    os.chdir(directory)		# (4)
    children = []
    signal.signal(signal.SIGTERM,
                  lambda *_: [os.kill(pid, signal.SIGTERM) for pid in children])
    for writer in writers('.', journals):
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(60)
            run_one(writer, seed)
        children.append(pid)
    write_file(os.path.join(journals, 'ready'), b'', False)
    for pid in children:
        if os.waitpid(pid, 0)[1] not in (0, signal.SIGTERM):
            sys.exit(99)


def check(directory, journals, durable):
    bad, answered = [], 0
    for writer in writers(directory, journals):
        if os.path.isdir(writer.directory):
            writer.check(durable)
        bad += writer.bad
        with open(writer.journal.path, encoding='ascii') as lines:
            answered += sum(line.startswith('S') for line in lines)
    for line in bad:
        print('#', line)
    print('# %d syncs answered so far, %d wrong' % (answered, len(bad)))
    sys.exit(1 if bad else 0)


def main():
    if sys.argv[1] == 'run':
        run(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        check(sys.argv[2], sys.argv[3],
              'W' if sys.argv[4:] == ['clean'] else 'S')


main()
