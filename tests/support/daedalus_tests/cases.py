"""Runs the unittest cases of a script; its arguments are the script's own. One that cannot run says so, as any test of ours."""

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
