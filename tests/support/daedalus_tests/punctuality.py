"""Whether the machine wakes a sleeping thread in time: tools with time limits of their own can be judged only if it does."""

import threading
import time

PUNCTUAL_S = 0.05


class Punctuality(threading.Thread):
    """Sleeps over and over, and remembers the longest time by which it was woken too late: with `with`, while the block runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.latest = 0.0
        self._over = threading.Event()

    def run(self):
        nap = 0.005
        while not self._over.is_set():
            began = time.monotonic()
            time.sleep(nap)
            self.latest = max(self.latest, time.monotonic() - began - nap)

    def is_punctual(self):
        return self.latest < PUNCTUAL_S

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()
