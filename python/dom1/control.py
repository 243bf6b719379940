# SPDX-License-Identifier: MIT
"""The control socket: one JSON object a line, in QMP's shape."""

import collections
import json
import time

from dom1 import folder


class ControlError(Exception):
    """dom1 refused a command; .error_class says how."""

    def __init__(self, error):
        super().__init__(error.get("desc", "no reason is given"))
        self.error_class = error.get("class", "")


class Control:
    """A connection to a domain's control socket. Events that come meanwhile are kept for wait_event()."""

    def __init__(self, name, timeout=10.0):
        self._socket = folder.connect(name, "control.sock")
        self._timeout = timeout
        self._received = b""
        self._events = collections.deque()
        self.greeting = self._next_object(time.monotonic() + timeout)

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _next_object(self, deadline):
        while b"\n" not in self._received:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                piece = self._socket.recv(65536)
            except TimeoutError:
                raise TimeoutError("the domain does not answer") from None
            if not piece:
                raise ConnectionResetError("the domain has ended")
            self._received += piece
        line, self._received = self._received.split(b"\n", 1)
        return json.loads(line)

    def call(self, command, **arguments):
        """Runs a command ("info", "pause", "balloon"...) and returns its answer. Underscores in names stand for hyphens."""
        request = {"execute": command.replace("_", "-")}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        self._socket.settimeout(self._timeout)
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + self._timeout
        while True:
            answer = self._next_object(deadline)
            if "event" in answer:
                self._events.append(answer)
            elif "error" in answer:
                raise ControlError(answer["error"])
            else:
                return answer.get("return")

    def wait_event(self, name=None, timeout=30.0):
        """The next event, or the next of this name; those before it are dropped."""
        deadline = time.monotonic() + timeout
        while True:
            event = self._events.popleft() if self._events else self._next_object(deadline)
            if "event" in event and name in (None, event["event"]):
                return event
