#!/usr/bin/env python3
"""What all tests of a run have come to; the last line says "N passed, N failed". Fails if one failed, or none passed.

    summary.py RESULTS SECONDS SKIPS

RESULTS is a folder of Meson's testlog.json files. A test, or a part of one, that was skipped tells why: "skipped: REASON" in its
output, or "# SKIP REASON" behind a line of TAP. SKIPS has the reasons that are accepted, one a line; any other counts as failed.
"""

import json
import pathlib
import re
import sys

TOLD = re.compile(r"^(?:skipped: |ok \d+ - .* # SKIP )(.+)$", re.MULTILINE)
NO_REASON = "without a reason"


def reasons(test):
    """Why the test was skipped, or parts of it were."""
    found = TOLD.findall(test.get("stdout", ""))
    return found or ([NO_REASON] if test["result"] == "SKIP" else [])


def accepted(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main():
    results, seconds, skips = pathlib.Path(sys.argv[1]), int(sys.argv[2]), accepted(pathlib.Path(sys.argv[3]))
    passed, skipped, failed = 0, [], []
    print("\n== Summary")
    for log in sorted(results.glob("*.json")):
        counts = {"passed": 0, "failed": 0, "skipped": 0}
        for test in map(json.loads, filter(str.strip, log.read_text(encoding="utf-8").splitlines())):
            name, why = f"{log.stem}: {test['name']}", reasons(test)
            refused = [reason for reason in why if not any(reason.startswith(good) for good in skips)]
            skipped += [f"{name}: {reason}" for reason in why if reason not in refused]
            if refused or test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP"):
                outcome = "skipped: " + "; ".join(refused) if refused else test["result"].lower()
                failed.append(f"{name} ({outcome})")
                counts["failed"] += 1
            else:
                counts["skipped" if test["result"] == "SKIP" else "passed"] += 1
        passed += counts["passed"]
        print(f"{log.stem:12}", *(f"{count:4} {word}" for word, count in counts.items()))
    for line in skipped:
        print("skipped:", line)
    for line in failed:
        print("FAILED:", line)
    print(f"{seconds // 60} min {seconds % 60} s")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
