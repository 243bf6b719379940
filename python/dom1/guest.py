# SPDX-License-Identifier: MIT
"""A guest: its process, its console, and the ways to steer it."""

import codecs
import itertools
import json
import os
import re
import select
import signal
import subprocess
import tempfile
import time

from dom1.control import Control
from dom1.xenstore import Xenstore

_numbers = itertools.count(1)
_START_S = 30.0
_STEP_S = 0.02
# What terminals obey (ECMA-48), and its beginning where the rest has not come yet.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])|\r")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*)?\Z")


class GuestTimeout(AssertionError):
    """What was expected did not come in time. The message has the end of the console."""


class GuestEnded(AssertionError):
    """The domain ended before what was expected came. The message has the end of the console."""


class Guest:
    """A domain that `dom1 run` runs.

    kernel, initrd: files. append: the guest's command line. options: more options of dom1 run, as a list. name: of the
    domain. dom1: the program. The guest starts with start(), or where a `with` begins, and is destroyed where that ends.

    .console is all that the guest has printed so far, as text without what only terminals obey; .status, when it has ended, is the exit status of dom1 run,
    and .report its report.
    """

    def __init__(self, kernel, initrd=None, append="console=hvc0", options=(), name=None, dom1=None):
        self.name = name or f"py-{os.getpid()}-{next(_numbers)}"
        self.console = ""
        self.status = None
        self.report = None
        self.messages = ""
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._process = None
        self._control = self._xenstore = None
        self._errors = self._report_file = None
        self._dom1 = dom1 or os.environ.get("DOM1", "dom1")
        self._command = ["run", "--name", self.name, "--kernel", str(kernel), "--append", append]
        if initrd is not None:
            self._command += ["--initrd", str(initrd)]
        self._command += [str(option) for option in options]

    # Life

    def start(self):
        """Starts dom1, and returns when the domain can be steered."""
        self._errors = tempfile.TemporaryFile()
        self._report_file = tempfile.NamedTemporaryFile(prefix="dom1-report-")
        self._process = subprocess.Popen(
            [self._dom1] + self._command + ["--report", self._report_file.name], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True)
        os.set_blocking(self._process.stdout.fileno(), False)
        deadline = time.monotonic() + _START_S
        while self._control is None:
            try:
                self._control = Control(self.name)
            except OSError:
                if self._process.poll() is not None:
                    self.wait()
                    raise GuestEnded(f"dom1 run ended with status {self.status}: {self.messages}") from None
                if time.monotonic() > deadline:
                    self.kill()
                    raise GuestTimeout("dom1 run does not come up") from None
                time.sleep(_STEP_S)
        return self

    def __enter__(self):
        return self if self._process else self.start()

    def __exit__(self, *_):
        self.kill()

    def wait(self, timeout=60.0):
        """Until the domain has ended; returns the exit status."""
        deadline = time.monotonic() + timeout
        while self.status is None:
            if self._process.poll() is not None:
                self._finish()
            elif time.monotonic() > deadline:
                raise GuestTimeout(f"the domain has not ended after {timeout} s{self._end_of_console()}")
            else:
                self._read(_STEP_S)
        return self.status

    def _finish(self):
        while self._read(0):
            pass
        for connection in (self._control, self._xenstore):
            if connection:
                connection.close()
        self._control = self._xenstore = None
        self._errors.seek(0)
        self.messages = self._errors.read().decode(errors="replace")
        self._errors.close()
        with open(self._report_file.name, encoding="utf-8") as report:
            text = report.read()
        self.report = json.loads(text) if text.strip() else None
        self._report_file.close()
        self._process.stdin.close()
        self._process.stdout.close()
        self.status = self._process.returncode

    def kill(self):
        """Ends the domain at once; nothing happens when it has ended."""
        if self._process is None or self.status is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self.wait(20)
        except GuestTimeout:
            self._process.kill()
            self.wait()

    # Console

    def _read(self, wait_s):
        """Takes what the console has. False: nothing came."""
        output = self._process.stdout
        if not select.select([output], [], [], wait_s)[0]:
            return False
        piece = output.read()
        if not piece:
            time.sleep(wait_s)
            return False
        text = self._held + self._decoder.decode(piece)
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished[0] if unfinished else ""
        self.console += _SEQUENCE.sub("", text[:len(text) - len(self._held)])
        return True

    def _end_of_console(self):
        lines = self.console.splitlines()[-15:]
        return "; its console ends with:\n" + "\n".join(lines) if lines else "; its console is empty"

    def send(self, text):
        """Types into the console."""
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def expect(self, pattern, timeout=30.0):
        """Until the pattern matches what was printed since the last match (^ and $ are those of lines); the match."""
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            found = expression.search(self.console, self._at)
            if found:
                self._at = found.end()
                return found
            if self.status is None and not self._read(_STEP_S) and self._process.poll() is not None:
                self._finish()
            elif self.status is not None:
                raise GuestEnded(f"{pattern!r} did not come, the domain ended with status {self.status}: "
                                 f"{self.messages}{self._end_of_console()}")
            elif time.monotonic() > deadline:
                raise GuestTimeout(f"{pattern!r} did not come in {timeout} s{self._end_of_console()}")

    # Steering

    @property
    def control(self):
        """The control socket: guest.control.call("info")."""
        if self._control is None:
            raise GuestEnded("the domain has ended")
        return self._control

    @property
    def xenstore(self):
        if self._xenstore is None:
            self._xenstore = Xenstore(self.name)
        return self._xenstore

    def wait_mark(self, text=None, timeout=30.0):
        """Until the guest writes its mark (data/mark in its xenstore), or this one."""
        return self.xenstore.wait("/local/domain/1/data/mark", text, timeout)

    def _run(self, *words):
        done = subprocess.run([self._dom1, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def attach_disk(self, disk):
        """disk: as of --disk. dom1 opens it with the rights of who calls this."""
        self._run("disk", "attach", self.name, disk)

    def detach_disk(self, vdev):
        self._run("disk", "detach", self.name, vdev)

    def shutdown(self, timeout=60.0):
        """Asks the guest to power off, and waits for it; returns the exit status."""
        self.control.call("shutdown")
        return self.wait(timeout)
