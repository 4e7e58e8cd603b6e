#!/usr/bin/env python3
"""Fails when a C++ file is not as clang-format leaves it. Usage: format.py CLANG_FORMAT [--fix]"""

import subprocess
import sys

import tree


def main():
    files = [str(path) for path in tree.cpp_files()]
    mode = ["-i"] if "--fix" in sys.argv else ["--dry-run", "-Werror"]
    done = subprocess.run([sys.argv[1], *mode, *files], check=False)
    if done.returncode != 0:
        print(f"run `tests/checks/format.py {sys.argv[1]} --fix`")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
