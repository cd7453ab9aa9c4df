"""Settings of all tests; its folder is on the path, so every test can import `strategies` and `writing`."""

from __future__ import annotations

from hypothesis import settings

# Other work on the machine must not turn a slow example into a failure.
settings.register_profile("layerlr", deadline=None)
settings.load_profile("layerlr")
