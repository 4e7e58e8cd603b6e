#!/usr/bin/env python3
"""Tests vm.py itself: what it says and which status it has when something goes wrong. Usage: runner_test.py BUILD_FOLDER"""

import os
import pathlib
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(sys.argv.pop(1) if len(sys.argv) > 1 else "build").resolve()
# What a WARN() prints: nothing in the stock kernel has one at hand for a test.
WARN = "echo '<4>WARNING: CPU: 0 PID: 1 at a test' >/dev/kmsg"
# What a thread that came late prints.
LATE = "; ".join(f"echo '<4>{line}' >/dev/kmsg" for line in (
    "schedule_timeout: wrong timeout value ffffffffffffffff", "Call Trace:", " <TASK>", " %s+0x3b7/0x420", " </TASK>"))


def vm(*arguments, shell=None, env=None):
    command = ["--", "sh", "-c", shell] if shell else []
    return subprocess.run(
        [sys.executable, "-B", HERE / "vm.py", "--build", BUILD, *arguments, *command],
        capture_output=True, text=True, env=env, check=False)


class Runner(unittest.TestCase):
    def check(self, done, status, *said):
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        for words in said:
            self.assertIn(words, done.stdout + done.stderr)

    def test_status_and_output_come_back(self):
        name = f"vm-runner-{os.getpid()}"
        self.addCleanup((BUILD / name).unlink, missing_ok=True)
        done = vm("--env", "SAID=two  words", shell=(
            f'echo "$SAID"; printf "a\\tb\\nc"; echo error >&2; seq 20000; echo left >"$VM_BUILD/{name}"; '
            f'echo mine >/etc/{name}; exit 42'))
        self.check(done, 42)
        self.assertEqual(done.stdout, "two  words\na\tb\ncerror\n" + "".join(f"{n}\n" for n in range(1, 20001)))
        self.assertEqual((BUILD / name).read_text(encoding="utf-8"), "left\n")
        self.assertFalse(pathlib.Path("/etc", name).exists(), "the guest wrote to the host's root")

    def test_failing_cases_are_told(self):
        done = vm(shell=(
            '. tests/vm/cases.sh; good() { false || true; }; bad() { echo "the cause"; false; echo "went on"; }; '
            'other() { skip "no such thing"; }; check one good; check two bad; check three other; finish'))
        self.check(done, 1, "ok 1 - one", "not ok 2 - two", "#   the cause", "ok 3 - three # SKIP no such thing", "1..3")
        self.assertNotIn("went on", done.stdout)

    def test_a_script_that_ends_early_is_told(self):
        self.check(vm(shell=". tests/vm/cases.sh; check one true; exit 0"), 0, "Bail out! the script ended after 1 cases")

    def test_a_hang_is_ended(self):
        started = time.monotonic()
        done = vm("--limit", "40", shell=(
            "echo '<4>what the kernel said' >/dev/kmsg; . tests/vm/cases.sh; check 'never ends' sleep 1000; finish"))
        self.check(done, 91, "# begins: never ends", "what the kernel said", "time limit: the VM was ended after 40")
        self.assertLess(time.monotonic() - started, 120)

    def test_a_kernel_warning_fails(self):
        vivids = LATE.replace("%s", "vivid_thread_vid_cap")
        self.check(vm(shell=f"{vivids}; {WARN}; {vivids}"), 90, "the kernel warned 1 times, first:", "at a test")
        self.check(vm(shell=LATE.replace("%s", "another_thread")), 90, "the kernel warned 1 times, first:", "Call Trace")
        self.check(vm("--allow-warnings", shell=WARN + "; exit 3"), 3)

    def test_a_dead_kernel_is_told(self):
        self.check(vm(shell="echo c >/proc/sysrq-trigger; sleep 60"), 92, "ended before the command did", "sysrq triggered crash")

    def test_what_is_missing_is_named(self):
        nothing = dict(os.environ, PATH="/nonexistent")
        self.check(vm(shell="true", env=nothing), 93, "apt-get install qemu-system-x86")


if __name__ == "__main__":
    unittest.main(verbosity=2)
