#!/usr/bin/env python3
"""Fails if sparse or the compiler, at their pickiest, find anything in the kernel module. Usage: sparse.py FOLDER MAKE..."""

import shutil
import subprocess
import sys


def main():
    folder, make = sys.argv[1], sys.argv[2:]
    if not shutil.which("sparse"):
        sys.exit("sparse is not installed: apt-get install sparse")
    # Anew, since make checks nothing that it has compiled before.
    shutil.rmtree(folder, ignore_errors=True)
    done = subprocess.run([*make, f"OUT={folder}", "KFLAGS=C=2 W=1", "modules"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    found = [line for line in lines if "warning:" in line or "error:" in line]
    print("\n".join(lines if done.returncode else found))
    checked = sum(line.strip().startswith("CHECK") for line in lines)
    print(f"{checked} files checked, {len(found)} findings")
    return 1 if done.returncode or found or checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
