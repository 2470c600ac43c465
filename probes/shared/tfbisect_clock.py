"""What the steps of a probe take, for those who ask what a probe adds to the calls that it is about."""

import time


class Clock(object):
    """Sums up seconds by step: `with clock.step("controls"): ...`."""

    def __init__(self):
        self.seconds = {}

    def step(self, name):
        return Step(self.seconds, name)


class Step(object):
    def __init__(self, seconds, name):
        self._seconds, self._name = seconds, name

    def __enter__(self):
        self._began = time.time()

    def __exit__(self, *exc_info):
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.time() - self._began
