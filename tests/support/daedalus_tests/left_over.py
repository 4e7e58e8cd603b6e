"""What is left of the `daedalus run`s of a test, which sets DAEDALUS_TEST_RUN to its process id for them."""

import os
import pathlib
import time


def processes(name):
    """The processes of that name that this one has started, whoever their parents are now."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            mine = f"DAEDALUS_TEST_RUN={os.getpid()}".encode() in (folder / "environ").read_bytes()
            if mine and (folder / "comm").read_text() == name + "\n":
                found.append(int(folder.name))
        except OSError:
            pass
    return found


def gone():
    """True as soon as nothing of a run is left."""
    deadline = time.monotonic() + 30
    while any(processes(name) for name in ("daedalus-calls", "daedalus-guard", "daedalus-node")):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
