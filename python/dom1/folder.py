# SPDX-License-Identifier: MIT
"""Where a running domain has its sockets."""

import os
import socket


def path(name):
    """The folder of the domain NAME of this user, whether it runs or not."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        parent = os.path.join(runtime, "dom1")
    elif os.geteuid() == 0:
        parent = "/run/dom1"
    else:
        parent = f"/tmp/dom1-{os.geteuid()}"
    return os.path.join(parent, name)


def connect(name, socket_name):
    """A connection to a socket of the domain's. OSError: it does not run (yet), or is not ours."""
    folder = os.open(path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            raise PermissionError(f"{path(name)}: is somebody else's")
        connection = socket.socket(socket.AF_UNIX)
        try:
            # A path through the descriptor is short, however long the folder's is.
            connection.connect(f"/proc/self/fd/{folder}/{socket_name}")
        except BaseException:
            connection.close()
            raise
        return connection
    finally:
        os.close(folder)
