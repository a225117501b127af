# SPDX-License-Identifier: GPL-2.0-or-later
"""
disk.py SOCKET KEEP SEED FILE...: disks with a volatile cache, for a machine whose power is cut.

An NBD server; FILE is the export of its base name. A write is acknowledged at once and is on the disk
when a flush that came after it has been answered. After SIGUSR1 the power of all disks goes at one
moment, when something is in the cache of the first, or after some seconds: of what was not flushed KEEP
percent of the blocks of 4 KiB, by chance, had reached the disk already. That is what FILE has then;
"off" is said, and nothing is answered any more. At SIGTERM with the power on FILE has everything. Until
then it is not touched.
"""
import asyncio
import os
import random
import signal
import struct
import sys

BLOCK = 4096  # bytes that are written as a whole, or not

GO, ABORT, INFO, EXPORT_NAME = 7, 2, 6, 1
ACK, REP_INFO, UNSUPPORTED, UNKNOWN = 1, 3, 1 << 31 | 1, 1 << 31 | 6
READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
FLAGS = 1 | 1 << 2 | 1 << 3  # has flags, FLUSH, FUA
FUA = 1
PATIENCE = 5  # s from SIGUSR1 on, at most


class Disk:
    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = bytearray(file.read())  # with what is in the cache
        self.safe = bytearray(self.data)
        self.cache = []  # (offset, bytes, is it for sure), oldest first

    def write(self, offset, data, fua):
        self.data[offset:offset + len(data)] = data
        self.cache.append((offset, data, fua))

    def flush(self):
        for offset, data, _ in self.cache:
            self.safe[offset:offset + len(data)] = data
        self.cache.clear()

    def cut(self, keep, chance):
        """In the order in which it was written: what is newer comes over what is older."""
        blocks = kept = 0
        for offset, data, sure in self.cache:
            at = 0
            while at < len(data):
                n = min(BLOCK - (offset + at) % BLOCK, len(data) - at)
                blocks += 1
                if sure or chance.random() * 100 < keep:
                    kept += 1
                    self.safe[offset + at:offset + at + n] = data[at:at + n]
                at += n
        print(f"{os.path.basename(self.path)}: {kept} of {blocks} blocks that were not flushed are there",
              flush=True)

    def save(self):
        with open(self.path, "r+b") as file:
            file.write(self.safe)


class Server:
    def __init__(self, paths, keep, chance):
        self.disks = {os.path.basename(path): Disk(path) for path in paths}
        self.first = next(iter(self.disks.values()))
        self.keep, self.chance = keep, chance
        self.wanted = 0  # requests to the first disk with something in its cache, until the power goes
        self.off = False

    def arm(self):
        self.wanted = 1 + self.chance.randrange(6)
        asyncio.get_running_loop().call_later(PATIENCE, self.cut)

    def count(self, disk):
        if self.wanted and disk is self.first and disk.cache:
            self.wanted -= 1
            if not self.wanted:
                self.cut()

    def cut(self):
        if self.off:
            return
        self.off = True
        for disk in self.disks.values():
            disk.cut(self.keep, self.chance)
            disk.save()
        print("off", flush=True)

    def end(self):
        for disk in self.disks.values():
            if not self.off:
                disk.flush()
                disk.save()
        os._exit(0)

    async def greet(self, reader, writer):
        """The disk that the client chooses, or None."""
        writer.write(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
        no_zeroes = struct.unpack(">I", await reader.readexactly(4))[0] & 2
        while True:
            _, option, length = struct.unpack(">QII", await reader.readexactly(16))
            data = await reader.readexactly(length)

            def reply(kind, payload=b"", option=option):
                writer.write(struct.pack(">QIII", 0x0003E889045565A9, option, kind, len(payload)) + payload)

            if option == EXPORT_NAME:
                disk = self.disks[data.decode()]
                writer.write(struct.pack(">QH", len(disk.data), FLAGS) + (b"" if no_zeroes else bytes(124)))
                return disk
            if option in (GO, INFO):
                size = struct.unpack(">I", data[:4])[0]
                disk = self.disks.get(data[4:4 + size].decode())
                if not disk:
                    reply(UNKNOWN)
                    continue
                reply(REP_INFO, struct.pack(">HQH", 0, len(disk.data), FLAGS))
                reply(ACK)
                if option == GO:
                    return disk
            else:
                reply(ACK if option == ABORT else UNSUPPORTED)
                if option == ABORT:
                    return None

    async def serve(self, reader, writer):
        try:
            disk = await self.greet(reader, writer)
            while disk:
                _, flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", await reader.readexactly(28))
                data = await reader.readexactly(length) if kind == WRITE else b""
                if kind == DISC:
                    break
                if self.off:
                    await asyncio.Event().wait()
                answer = struct.pack(">IIQ", 0x67446698, 0, cookie)
                if kind in (READ, WRITE) and offset + length > len(disk.data) or kind > FLUSH:
                    answer = struct.pack(">IIQ", 0x67446698, 22, cookie)
                elif kind == READ:
                    answer += disk.data[offset:offset + length]
                elif kind == WRITE:
                    disk.write(offset, data, flags & FUA)
                    self.count(disk)
                    if self.off:
                        continue
                else:
                    disk.flush()
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


async def main():
    path, keep, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    server = Server(sys.argv[4:], keep, random.Random(seed))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, server.arm)
    loop.add_signal_handler(signal.SIGTERM, server.end)
    async with await asyncio.start_unix_server(server.serve, path, limit=1 << 25) as listener:
        await listener.serve_forever()


asyncio.run(main())
