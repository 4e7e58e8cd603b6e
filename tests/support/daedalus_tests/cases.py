"""Runs the unittest cases of a script; its arguments are the script's own. One that cannot run says so, as any test of ours."""

import subprocess
import sys
import unittest

_SKIPPED = 77  # the exit status that Meson counts as skipped


def main():
    """Instead of unittest.main(): scripts/summary.py hears why a case was skipped."""
    result = unittest.main(argv=sys.argv[:1], verbosity=2, exit=False).result
    for case, reason in result.skipped:
        print(f"skipped: {reason}: {case.id()}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(_SKIPPED if result.skipped else 0)


def main_where_calls_are_served(daedalus):
    """As main(), of cases that need `run --reach notify`: where that is refused, they are skipped with its reason."""
    probe = subprocess.run([daedalus, "run", "--reach", "notify", "--", "true"], capture_output=True, text=True, timeout=60, check=False)
    if probe.returncode == 125 and "--reach notify" in probe.stderr:
        print("skipped: " + probe.stderr.splitlines()[-1])
        sys.exit(_SKIPPED)
    main()
