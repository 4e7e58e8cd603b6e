"""What v4l2-compliance found, and what of it docs/deviations.md excuses."""

import re

_TOTAL = re.compile(r"^Total for .*: (\d+), Succeeded: (\d+), Failed: (\d+), Warnings: (\d+)", re.MULTILINE)


def excuses(deviations, sections=("v4l2-compliance",)):
    """The first column of the tables in the sections whose titles have one of these words."""
    found, inside = [], False
    for line in deviations.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            inside = any(section in line for section in sections)
        match = re.match(r"\| *`([^`]+)` *\|", line)
        if inside and match:
            found.append(match.group(1))
    return found


def judge(outcome, allowed):
    """Prints what the tool found; True if nothing is wrong but what is excused."""
    text = outcome.output.decode(errors="replace")
    total = _TOTAL.search(text)
    findings = re.findall(r"^\s*((?:fail|warn): .*)$", text, re.MULTILINE)
    unexcused = []
    for finding in findings:
        excuse = next((part for part in allowed if part in finding), None)
        print(f"{'excused' if excuse else 'FINDING'}: {finding}")
        if not excuse:
            unexcused.append(finding)
    if not total:
        print(text[-3000:])
        print(f"no total: {outcome.excerpt()}")
        return False
    print(total.group(0))
    failures, warnings = int(total.group(3)), int(total.group(4))
    if unexcused:
        print(text)
    # A count without a line that explains it is a finding too.
    return not unexcused and (failures + warnings == 0 or bool(findings))
