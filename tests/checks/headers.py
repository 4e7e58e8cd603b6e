#!/usr/bin/env python3
"""Fails when a published header does not compile on its own. Usage: headers.py BUILD_FOLDER"""

import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys

import tree

_WITH_VALUE = {"-o", "-c", "-MF", "-MQ", "-MT"}
_ALONE = {"-MD", "-MMD"}


def compile_command(build):
    """The compiler and flags with which the build compiles src/base/log.cpp: they know every library a header may name."""
    for entry in json.loads((build / "compile_commands.json").read_text(encoding="utf-8")):
        if entry["file"].endswith("src/base/log.cpp"):
            words = iter(shlex.split(entry["command"]))
            command = []
            for word in words:
                if word in _WITH_VALUE:
                    next(words)
                elif word not in _ALONE:
                    command.append(word)
            return command
    raise SystemExit(f"{build}/compile_commands.json does not compile src/base/log.cpp: run meson setup again")


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    command = compile_command(build)

    def compile_alone(header):
        # Included twice, so that a missing include guard shows as well.
        program = f'#include "{header}"\n#include "{header}"\n'
        done = subprocess.run(
            command + ["-fsyntax-only", "-x", "c++", "-"],
            cwd=build, input=program, capture_output=True, text=True, check=False)
        return header, done.returncode, done.stderr

    headers = [path for path in tree.cpp_files("include", "proto") if path.suffix == ".h"]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, status, errors in pool.map(compile_alone, headers):
            if status != 0:
                failed += 1
                print(f"{header.relative_to(tree.ROOT)} does not compile alone:\n{errors}")
    print(f"{len(headers)} headers, {failed} do not compile alone")
    return 1 if failed or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
