#!/usr/bin/env python3
"""Builds the kernel module by DKMS, from what is installed for it, and lets a client map by that module in the VM.

Usage: dkms.py BUILD_FOLDER KERNEL_HEADERS. DKMS's trees lie in BUILD_FOLDER/dkms: nothing of the host changes.
"""

import pathlib
import shutil
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[3]
MODULE = "daedalus-shim"
CASE = "a client maps what is bound for it"


def run(*command):
    print("$", *command, flush=True)
    subprocess.run(command, check=True)


def only(found, what):
    """The one path that was found."""
    found = list(found)
    if len(found) != 1:
        sys.exit(f"dkms.py: wanted one {what}, found {len(found)}: {found}")
    return found[0]


def main():
    build, headers = (pathlib.Path(each).resolve() for each in sys.argv[1:3])
    trees = build / "dkms"
    shutil.rmtree(trees, ignore_errors=True)
    run("make", "-C", SOURCE / "subprojects" / MODULE, f"DESTDIR={trees}", "dkms-source")
    installed = only((trees / "usr/src").iterdir(), "source folder")
    version = installed.name.removeprefix(MODULE + "-")
    release = (headers / "include/config/kernel.release").read_text(encoding="utf-8").strip()
    for folder in ("state", "modules/" + release):
        (trees / folder).mkdir(parents=True)
    where = ("--dkmstree", trees / "state", "--sourcetree", trees / "usr/src", "--installtree", trees / "modules")
    which = ("-m", MODULE, "-v", version)
    kernel = ("-k", release, "--kernelsourcedir", headers)
    run("dkms", "add", *where, *which)
    run("dkms", "build", *where, *which, *kernel)
    run("dkms", "install", *where, *which, *kernel, "--no-depmod")
    module = only((trees / "modules").rglob(MODULE + ".ko*"), "installed module")
    program = build / "tests/vm/shim/test_shim"
    run(sys.executable, "-B", SOURCE / "tests/vm/vm.py", "--build", build, "--",
        "sh", "-ec", f'modprobe cuse; insmod "{module}"; "{program}" "{CASE}"; rmmod {MODULE}')
    run("dkms", "remove", *where, *which, "--all", "--no-depmod")
    left = [each for each in trees.rglob(MODULE + ".ko*")]
    if left:
        sys.exit(f"dkms.py: dkms remove has left {left}")


if __name__ == "__main__":
    main()
