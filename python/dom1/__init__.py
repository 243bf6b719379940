# SPDX-License-Identifier: MIT
"""Boots Xen guests by dom1, talks with them, and steers them.

    with dom1.Guest("vmlinuz", initrd="initrd.img", options=["--type", "pvh"]) as guest:
        guest.expect(r"login: $", timeout=60)
        guest.send("root\\n")
        assert guest.xenstore.read("/local/domain/1/name") == guest.name.encode()
        guest.attach_disk("disk.img,vdev=xvdb")
        guest.shutdown()

Needs nothing but Python and the program dom1 ($DOM1, or the one on PATH).
"""

from dom1.control import Control, ControlError
from dom1.guest import Guest, GuestEnded, GuestTimeout
from dom1.xenstore import Xenstore, XenstoreError

__all__ = ["Control", "ControlError", "Guest", "GuestEnded", "GuestTimeout", "Xenstore", "XenstoreError"]
