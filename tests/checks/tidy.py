#!/usr/bin/env python3
"""Runs clang-tidy over src/ on all cores. Usage: tidy.py CLANG_TIDY BUILD_FOLDER [FILE...]

A file that passed is not looked at again until it, a header of the project, .clang-tidy or its flags change: the stamps
lie in BUILD_FOLDER/tidy-stamps.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import tree


def main():
    tool, build = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    wanted = {pathlib.Path(name).resolve() for name in sys.argv[3:]}
    entries = {}
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if (tree.ROOT / "src") in file.parents and (not wanted or file in wanted):
            entries[file] = entry["command"]

    stamps = build / "tidy-stamps"
    stamps.mkdir(exist_ok=True)
    common = hashlib.sha256(subprocess.run([tool, "--version"], capture_output=True, check=True).stdout)
    for path in [tree.ROOT / ".clang-tidy", *(p for p in tree.cpp_files("src", "include", "proto") if p.suffix == ".h")]:
        common.update(path.read_bytes())

    def look_at(file):
        state = common.copy()
        state.update(entries[file].encode() + file.read_bytes())
        stamp = stamps / state.hexdigest()
        if stamp.exists():
            return file, 0, ""
        done = subprocess.run(
            # Without the compiler's own warnings: the builds show them, and another compiler's flags may be in the way.
            [tool, "--quiet", "-p", str(build), "--extra-arg=-w", "--warnings-as-errors=*", str(file)],
            capture_output=True, text=True, check=False)
        if done.returncode == 0:
            stamp.touch()
        return file, done.returncode, done.stdout + (done.stderr if done.returncode else "")

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for file, status, output in pool.map(look_at, sorted(entries)):
            if status != 0:
                failed += 1
                print(f"{file.relative_to(tree.ROOT)}:\n{output}")
    print(f"{len(entries)} files, {failed} with findings")
    return 1 if failed or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
