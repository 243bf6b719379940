# SPDX-License-Identifier: MIT
"""The package against a fake dom1: what it says on the wires, and what it makes of what comes."""
import os
import tempfile
import unittest

import dom1

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_dom1.py")


class GuestTest(unittest.TestCase):
    def setUp(self):
        runtime = tempfile.TemporaryDirectory()
        self.addCleanup(runtime.cleanup)
        os.environ["XDG_RUNTIME_DIR"] = runtime.name

    def guest(self, words=""):
        guest = dom1.Guest("kernel", append=words, dom1=FAKE)
        self.addCleanup(guest.kill)
        return guest.start()

    def test_dialogue(self):
        guest = self.guest()
        guest.expect(r"^hello$")
        guest.send("one\ntwo\n")
        self.assertEqual(guest.expect(r"heard (\w+)$")[1], "one")
        self.assertEqual(guest.expect(r"heard (\w+)$")[1], "two")
        with self.assertRaisesRegex(dom1.GuestTimeout, "heard two"):
            guest.expect("heard", timeout=0.2)

    def test_end(self):
        guest = self.guest()
        self.assertEqual(guest.shutdown(), 0)
        self.assertEqual((guest.status, guest.report["outcome"]), (0, "poweroff"))
        with self.assertRaises(dom1.GuestEnded):
            guest.control.call("info")

    def test_crash(self):
        guest = self.guest()
        guest.send("crash\n")
        with self.assertRaisesRegex(dom1.GuestEnded, "status 34(.|\n)*Kernel panic"):
            guest.expect("never")
        self.assertEqual(guest.report["outcome"], "crash")

    def test_refused(self):
        with self.assertRaisesRegex(dom1.GuestEnded, "status 1: .*no such file"):
            self.guest("refuse")

    def test_kill(self):
        with dom1.Guest("kernel", append="", dom1=FAKE) as guest:
            guest.expect("hello")
        self.assertEqual(guest.status, -15)

    def test_control(self):
        guest = self.guest()
        self.assertEqual(guest.control.call("info", some_number=4)["arguments"], {"some-number": 4})
        self.assertEqual(guest.control.wait_event("MARK")["data"], {})
        with self.assertRaises(TimeoutError):
            guest.control.wait_event(timeout=0.1)
        with self.assertRaises(dom1.ControlError) as refused:
            guest.control.call("nothing")
        self.assertEqual(refused.exception.error_class, "CommandNotFound")

    def test_xenstore(self):
        store = self.guest().xenstore
        store.write("/data/a", "one")
        store.write("/data/b", b"\xff")
        self.assertEqual((store.read("/data/a"), store.read("/data/b"), store.list("/data")), (b"one", b"\xff", ["a", "b"]))
        self.assertEqual(store.wait("/data/a", "one"), b"one")
        store.remove("/data/a")
        with self.assertRaisesRegex(dom1.XenstoreError, "ENOENT"):
            store.read("/data/a")
        with self.assertRaises(TimeoutError):
            store.wait("/data/a", timeout=0.1)

    def test_disks(self):
        guest = self.guest()
        guest.attach_disk("file,vdev=xvdb")
        with self.assertRaisesRegex(RuntimeError, "no such file"):
            guest.attach_disk("bad")


if __name__ == "__main__":
    unittest.main()
