#!/usr/bin/env python3
"""Makes the synthetic streams and their MD5s on the host, where it is quick, and then runs vm.py with the arguments.

    with_streams.py CACHE DAEDALUS VM.PY-ARGUMENT...
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CONFORMANCE = HERE.parent / "conformance"


def main():
    cache, daedalus = sys.argv[1:3]
    for what in (["run.py", "synthetic"], ["ctl.py", "--short"]):
        command = [sys.executable, CONFORMANCE / what[0], *what[1:], "--prepare", "--daedalus", daedalus, "--cache", cache]
        subprocess.run(command, check=True, stdout=sys.stderr)
    vectors = os.environ.get("DAEDALUS_VECTORS")
    # The guest sees the host's root, but /tmp.
    given = ["--env", f"DAEDALUS_VECTORS={pathlib.Path(vectors).resolve()}"] if vectors else []
    os.execv(sys.executable, [sys.executable, str(HERE / "vm.py"), *given, *sys.argv[3:]])


if __name__ == "__main__":
    main()
