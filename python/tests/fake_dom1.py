#!/usr/bin/env python3
"""In the place of dom1: a domain whose guest is an echo with a xenstore. Its words come from --append."""
import json
import os
import select
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from dom1 import folder  # noqa: E402

arguments = sys.argv[1:]
if arguments[0] == "disk":
    if "bad" in arguments:
        sys.exit("dom1: disk: bad: no such file")
    print(" ".join(arguments))
    sys.exit(0)


def value(option):
    return arguments[arguments.index(option) + 1]


def report(outcome, status):
    with open(value("--report"), "w", encoding="utf-8") as file:
        json.dump({"version": 1, "outcome": outcome, "status": status}, file)
    sys.exit(status)


words = value("--append").split()
if "refuse" in words:
    sys.exit("dom1: run: nothing: no such file")
home = folder.path(value("--name"))
os.makedirs(home, exist_ok=True)
servers = {}
for name in ("control.sock", "xenstore.sock"):
    servers[name] = socket.socket(socket.AF_UNIX)
    servers[name].bind(os.path.join(home, name))
    servers[name].listen(4)
store = {b"/local/domain/1/name": value("--name").encode()}
clients = {}
print("hello\r")
sys.stdout.flush()


def control(client, line):
    request = json.loads(line)
    if request["execute"] == "info":
        answer = {"return": {"name": value("--name"), "arguments": request.get("arguments")}}
        client.sendall(b'{"event":"MARK","data":{}}\r\n')
    elif request["execute"] == "shutdown":
        client.sendall(b'{"return":{"heeded":true}}\n{"event":"SHUTDOWN","data":{}}\n')
        report("poweroff", 0)
    else:
        answer = {"error": {"class": "CommandNotFound", "desc": "no such command"}}
    client.sendall(json.dumps(answer).encode() + b"\n")


def xenstore(client):
    kind, request, transaction, length = struct.unpack("=IIII", client.recv(16))
    payload = client.recv(length) if length else b""
    path, _, rest = payload.partition(b"\0")
    answer, text = kind, b"OK\0"
    if kind == 2 and path in store:
        text = store[path]
    elif kind == 11:
        store[path] = rest
    elif kind == 1:
        text = b"".join(key[len(path) + 1:] + b"\0" for key in sorted(store) if key.startswith(path + b"/"))
    elif kind == 13 and path in store:
        del store[path]
    else:
        answer, text = 16, b"ENOENT\0"
    client.sendall(struct.pack("=IIII", answer, request, transaction, len(text)) + text)


while True:
    for ready in select.select([*servers.values(), *clients, sys.stdin], [], [])[0]:
        if ready is sys.stdin:
            for line in os.read(0, 4096).decode().splitlines():
                if line == "crash":
                    print("Kernel panic\r", flush=True)
                    report("crash", 34)
                os.write(1, b"\x1b")
                os.write(1, f"[6nheard {line}\x1b[0m\r\n".encode())
        elif ready in servers.values():
            client = ready.accept()[0]
            clients[client] = ready is servers["control.sock"]
            if clients[client]:
                client.sendall(b'{"QMP":{"version":{}}}\n')
        elif not ready.recv(1, socket.MSG_PEEK):
            del clients[ready]
        elif clients[ready]:
            for line in ready.recv(65536).splitlines():
                control(ready, line)
        else:
            xenstore(ready)
