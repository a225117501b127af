#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Makes inputs for fuzz targets out of a real conversation.

Usage: capture.py FOLDER NAME SERVER-SOCKET CLIENT...

Stands between CLIENT and the server of SERVER-SOCKET, a unix socket: the client is run with its
arguments, of which @ stands for a socket's path. Of its first connection the client's half becomes
FOLDER/options/NAME and FOLDER/requests/NAME, the server's half FOLDER/handshake/NAME. Does not
understand TLS.
"""
import os
import selectors
import socket
import struct
import subprocess
import sys
import tempfile

MOST = 2000  # bytes of an input; more would only be slow
OPTION = struct.Struct(">QII")
EXPORT_NAME, GO, STRUCTURED, EXTENDED = 1, 7, 8, 11


def relay(server_path, command):
    """Runs the command; returns what both sides said over the first connection."""
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(8)
        child = subprocess.Popen([word.replace("@", path) for word in command],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        loop = selectors.DefaultSelector()
        loop.register(listener, selectors.EVENT_READ, None)
        while child.poll() is None or len(loop.get_map()) > 1:
            for key, _ in loop.select(0.2):
                if key.data is None:
                    client = listener.accept()[0]
                    server = socket.socket(socket.AF_UNIX)
                    server.connect(server_path)
                    first = not said
                    halves = said if first else {}
                    halves.update(client=bytearray(), server=bytearray())
                    loop.register(client, selectors.EVENT_READ, (server, halves["client"]))
                    loop.register(server, selectors.EVENT_READ, (client, halves["server"]))
                    continue
                other, half = key.data
                try:
                    data = key.fileobj.recv(65536)
                    half += data
                    other.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    for end in (key.fileobj, other):
                        loop.unregister(end)
                        end.close()
                    break  # the other end may be among what was selected
    return bytes(said.get("client", b"")), bytes(said.get("server", b""))


def requests_begin(client, server):
    """Where the client's requests begin, and with which headers; None: it made none."""
    at, asked = 4, set()
    while at + OPTION.size <= len(client):
        magic, option, length = OPTION.unpack_from(client, at)
        if magic != 0x49484156454F5054:
            return None
        at += OPTION.size + length
        asked.add(option)
        if option in (EXPORT_NAME, GO):
            ack = struct.Struct(">QII")
            for headers, name in ((2, EXTENDED), (1, STRUCTURED)):
                if name in asked and ack.pack(0x3E889045565A9, name, 1) in server:
                    return at, headers
            return at, 0
    return None


def write(folder, target, name, data):
    os.makedirs(f"{folder}/{target}", exist_ok=True)
    with open(f"{folder}/{target}/{name}", "wb") as out:
        out.write(data)


def main():
    folder, name, server_path, *command = sys.argv[1:]
    client, server = relay(server_path, command)
    half = client[:MOST]
    write(folder, "options", name, b"\0\3" + struct.pack(">H", len(half)) + half + b"\5")
    half = server[:MOST]
    write(folder, "handshake", name, b"\x18\2" + struct.pack(">H", len(half)) + half)
    begin = requests_begin(client, server)
    if begin and begin[0] < len(client):
        rest = client[begin[0]:begin[0] + MOST]
        pieces = [rest[i:i + 255] for i in range(0, len(rest), 255)]
        script = b"".join(b"\4" + bytes([len(piece)]) + piece for piece in pieces)
        write(folder, "requests", name, bytes([0x10 | begin[1]]) + script + b"\7")


main()
