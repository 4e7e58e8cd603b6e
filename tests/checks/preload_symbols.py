#!/usr/bin/env python3
"""Fails when the preload library needs a symbol that an older C library lacks, or a library that a program may lack.

Usage: preload_symbols.py LIBRARY
"""
import re
import subprocess
import sys

NEWEST = (2, 27)
# What glibc itself brings, in any version.
LIBRARIES = {"libc.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}


def _elf(option, library):
    return subprocess.run(["readelf", "-W", option, library], stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> int:
    library = sys.argv[1]
    wrong = []
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", _elf("--dynamic", library))
    wrong += [f"needs {name}" for name in needed if name not in LIBRARIES]
    undefined = re.findall(r"\bUND (\S+?)@(\S+)", _elf("--dyn-syms", library))
    if not undefined or "libc.so.6" not in needed:
        wrong.append("its symbols cannot be read")
    for name, version in undefined:
        numbers = re.fullmatch(r"GLIBC_([\d.]+)", version)
        if not numbers or tuple(map(int, numbers[1].split("."))) > NEWEST:
            wrong.append(f"needs {name}@{version}, which is newer than GLIBC_{'.'.join(map(str, NEWEST))}")
    for line in wrong:
        print(f"{library}: {line}", file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main())
