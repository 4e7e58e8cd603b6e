#!/usr/bin/env python3
"""A program ends with 0 under `daedalus run`, by itself and by a shell, and its dynamic linker has nothing to say.

Usage: run.py DAEDALUS PRELOAD_LIBRARY PROGRAM
"""
import os
import subprocess
import sys


def main() -> int:
    daedalus, library, program = map(os.path.abspath, sys.argv[1:4])
    environment = dict(os.environ, DAEDALUS_PRELOAD=library)
    for command in ([program], ["sh", "-c", '"$0"; "$0" && exit 0', program]):
        done = subprocess.run([daedalus, "run", "--log", "error", "--", *command], capture_output=True, text=True, timeout=50,
                              env=environment, check=False)
        if done.returncode != 0 or done.stderr:
            print(f"{command}: status {done.returncode}\n{done.stderr}", file=sys.stderr)
            return 1
    return 0


sys.exit(main())
