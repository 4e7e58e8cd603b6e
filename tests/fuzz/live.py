#!/usr/bin/env python3
"""Runs a libFuzzer target for two minutes (DAEDALUS_FUZZ_SECONDS), starting from its corpus; findings stay in the build."""

import os
import pathlib
import subprocess
import sys

fuzzer, corpus, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
seconds = os.environ.get("DAEDALUS_FUZZ_SECONDS", "120")
(work / "corpus").mkdir(parents=True, exist_ok=True)
sys.exit(subprocess.run([
    fuzzer, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=512", "-len_control=0", "-print_funcs=0",
    f"-artifact_prefix={work}/", work / "corpus", corpus,
], check=False).returncode)
