"""Seeds out of seeds."""

from __future__ import annotations


def mix(*numbers: int) -> int:
    """One 63-bit seed out of several numbers (splitmix64, Steele et al. 2014), equal on every machine."""
    state = 0
    for number in numbers:
        state = (state + 0x9E3779B97F4A7C15 + number) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1
