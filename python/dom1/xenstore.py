# SPDX-License-Identifier: MIT
"""The domain's xenstore, with the host's rights, by xenstore.sock. Source of the protocol: <xen/io/xs_wire.h>."""

import struct
import time

from dom1 import folder

_DIRECTORY, _READ, _WRITE, _MKDIR, _RM, _ERROR = 1, 2, 11, 12, 13, 16
_HEADER = struct.Struct("=IIII")
_POLL_S = 0.05


class XenstoreError(Exception):
    """What the xenstore answered: "ENOENT", "EACCES"..."""


class Xenstore:
    """A connection; values are bytes, as in the xenstore itself."""

    def __init__(self, name, timeout=10.0):
        self._socket = folder.connect(name, "xenstore.sock")
        self._socket.settimeout(timeout)

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _receive(self, n):
        received = b""
        while len(received) < n:
            piece = self._socket.recv(n - len(received))
            if not piece:
                raise ConnectionResetError("the domain has ended")
            received += piece
        return received

    def _ask(self, kind, payload):
        self._socket.sendall(_HEADER.pack(kind, 0, 0, len(payload)) + payload)
        answer, _, _, length = _HEADER.unpack(self._receive(_HEADER.size))
        value = self._receive(length)
        if answer == _ERROR:
            raise XenstoreError(value.rstrip(b"\0").decode())
        return value

    @staticmethod
    def _path(path):
        return path.encode() + b"\0"

    def read(self, path):
        return self._ask(_READ, self._path(path))

    def write(self, path, value):
        self._ask(_WRITE, self._path(path) + (value.encode() if isinstance(value, str) else value))

    def list(self, path):
        return [name.decode() for name in self._ask(_DIRECTORY, self._path(path)).split(b"\0") if name]

    def mkdir(self, path):
        self._ask(_MKDIR, self._path(path))

    def remove(self, path):
        self._ask(_RM, self._path(path))

    def wait(self, path, value=None, timeout=30.0):
        """Until there is a node, with this value if one is given; returns what it holds."""
        wanted = value.encode() if isinstance(value, str) else value
        deadline = time.monotonic() + timeout
        while True:
            try:
                found = self.read(path)
            except XenstoreError as error:
                if str(error) != "ENOENT":
                    raise
                found = None
            if found is not None and wanted in (None, found):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"xenstore: {path}: {'is not there' if found is None else found!r}")
            time.sleep(_POLL_S)
