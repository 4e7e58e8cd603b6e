#!/usr/bin/env python3
"""Runs one case of the socket transport's client tests against a scripted daemon of its own.

Usage: run.py DAEMON WAY CLIENT CASE

WAY is the preload library, or the program that serves the client's system calls instead.
"""
import os
import subprocess
import sys
import tempfile


def main() -> int:
    daemon_path, way, client, case = sys.argv[1:5]
    with tempfile.TemporaryDirectory(prefix="daedalus-test-") as folder:
        socket = os.path.join(folder, "socket")
        daemon = subprocess.Popen([daemon_path, socket, "/dev/video7"], stdout=subprocess.PIPE, text=True)
        try:
            if daemon.stdout.readline() != "ready\n":
                print("the daemon does not start", file=sys.stderr)
                return 1
            environment = dict(os.environ, DAEDALUS_TEST_DAEMON=str(daemon.pid))
            words = [client, case]
            if way.endswith(".so"):
                environment.update(DAEDALUS_SOCKET=socket, LD_PRELOAD=way)
            else:
                words = [way, socket, "/dev/video7", *words]
            status = subprocess.run(words, env=environment, timeout=100, check=False).returncode
            if case not in ("daemon_killed", "daemon_killed_waiting") and daemon.poll() is not None:
                print(f"the daemon died with status {daemon.returncode}", file=sys.stderr)
                return 1
            return status
        finally:
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            if os.path.exists(socket) and "daemon_killed" not in case:
                print("the daemon left its socket behind", file=sys.stderr)
                return 1


sys.exit(main())
