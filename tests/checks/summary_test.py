#!/usr/bin/env python3
"""scripts/summary.py counts a skip that no line of tests/skips.txt accepts as a failure, whatever the test's own result."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUMMARY = ROOT / "scripts/summary.py"
# A script of tests: those of the words that it is given are skipped, or fail.
SCRIPT = """
import sys, unittest
from daedalus_tests import cases

class Cases(unittest.TestCase):
    def test_good(self):
        pass

    @unittest.skipIf("skipped" in sys.argv, "no moon tonight")
    def test_skipped(self):
        pass

    def test_bad(self):
        self.assertNotIn("bad", sys.argv)

cases.main()
"""


class Summary(unittest.TestCase):
    def summary(self, *tests):
        """The exit status and the last line for (result, stdout) of each test."""
        with tempfile.TemporaryDirectory() as folder:
            results = pathlib.Path(folder)
            lines = [json.dumps({"name": f"test {i}", "result": result, "stdout": stdout}) for i, (result, stdout) in enumerate(tests)]
            (results / "tests.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
            skips = results / "skips.txt"
            skips.write_text("# why\nno moon tonight\n", encoding="utf-8")
            done = subprocess.run([sys.executable, "-B", SUMMARY, results, "60", skips], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout.splitlines()[-1]

    def test_counts(self):
        self.assertEqual(self.summary(("OK", "fine"), ("OK", "")), (0, "2 passed, 0 failed"))
        self.assertEqual(self.summary(("OK", ""), ("FAIL", "bad"), ("TIMEOUT", "")), (1, "1 passed, 2 failed"))
        self.assertEqual(self.summary(), (1, "0 passed, 0 failed"))

    def test_skips(self):
        good, bad = "skipped: no moon tonight, only stars: case A\n", "skipped: no encoder: case B\n"
        self.assertEqual(self.summary(("OK", ""), ("SKIP", good)), (0, "1 passed, 0 failed"))
        self.assertEqual(self.summary(("OK", ""), ("SKIP", bad)), (1, "1 passed, 1 failed"))
        self.assertEqual(self.summary(("OK", ""), ("SKIP", good + bad)), (1, "1 passed, 1 failed"))
        self.assertEqual(self.summary(("OK", ""), ("SKIP", "")), (1, "1 passed, 1 failed"))

    def test_parts_of_a_test(self):
        self.assertEqual(self.summary(("OK", "ok 1 - moon # SKIP no moon tonight\n")), (0, "1 passed, 0 failed"))
        self.assertEqual(self.summary(("OK", ""), ("OK", "ok 1 - a\nok 2 - b # SKIP no such thing\n")), (1, "1 passed, 1 failed"))

    def test_cases_of_unittest(self):
        def run(*words):
            done = subprocess.run([sys.executable, "-B", "-c", SCRIPT, *words], capture_output=True, text=True, check=False,
                                  env=os.environ | {"PYTHONPATH": str(ROOT / "tests/support")})
            return done.returncode, done.stdout

        self.assertEqual(run(), (0, ""))
        self.assertEqual(run("skipped"), (77, "skipped: no moon tonight: __main__.Cases.test_skipped\n"))
        self.assertEqual(run("skipped", "bad"), (1, "skipped: no moon tonight: __main__.Cases.test_skipped\n"))


if __name__ == "__main__":
    unittest.main()
