#!/usr/bin/env python3
"""What daedalus offers shells while a command line is typed, and that bash asks it.

Usage: cli_complete.py DAEDALUS PRELOAD_LIBRARY
"""

import pathlib
import re
import shlex
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from daedalus_tests import cases  # noqa: E402
from daedalus_tests.command import DAEDALUS, daedalus  # noqa: E402

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "src/shells"
HELPERS = pathlib.Path("/usr/share/bash-completion/bash_completion")


def offered(*words):
    done = daedalus("complete", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


class Completions(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(offered(""), ["codecs", "decode", "doctor", "run", "serve"])
        self.assertEqual(offered("de"), ["decode"])
        self.assertEqual(offered("nonsense", ""), [])

    def test_every_option_of_the_help(self):
        for command in offered(""):
            told = re.findall(r"^  (?:-\w,)?(--[\w-]+)", daedalus(command, "--help").stdout, re.MULTILINE)
            self.assertEqual(offered(command, "--"), sorted(told))

    def test_values(self):
        self.assertEqual(offered("run", "--reach", ""), ["auto", "notify", "preload"])
        self.assertEqual(offered("decode", "x.mkv", "--memory", "d"), ["dmabuf"])
        self.assertEqual(offered("--log", "debug", "doc"), ["doctor"])
        self.assertEqual(offered("decode", "-o", ""), [], "a file's name")

    def test_the_program_of_run_is_its_own(self):
        self.assertEqual(offered("run", "--", "ls", "--"), [])
        self.assertEqual(offered("run", "ls", "--"), [])

    def test_bash(self):
        if not HELPERS.exists():
            self.skipTest("bash-completion is not installed")
        script = (f". {HELPERS}; . {SCRIPTS / 'daedalus.bash'}; "
                  'asked() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=(); '
                  '_daedalus; printf "%s " "${COMPREPLY[@]}"; echo; }; '
                  f"d={shlex.quote(str(DAEDALUS))}; asked $d run --reach n; asked $d se; asked $d run -- mapfi")
        done = subprocess.run(["bash", "--norc", "-c", script], text=True, capture_output=True, timeout=60, check=True)
        self.assertEqual([line.split() for line in done.stdout.splitlines()], [["notify"], ["serve"], ["mapfile"]], done.stderr)


if __name__ == "__main__":
    cases.main()
