"""Kinds of values on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["LARGEST_SEED", "seconds", "whole"]

LARGEST_SEED = 2**31


def whole(least: int) -> Callable[[str], int]:
    """Type of an option: a whole number from `least` to the largest seed that all libraries take."""

    def convert(text: str) -> int:
        if not (text.strip().isdecimal() and least <= int(text) < LARGEST_SEED):
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} to {LARGEST_SEED - 1}")
        return int(text)

    return convert


def seconds(text: str) -> float:
    """Type of an option: a time of 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time in seconds of 0 or more")
    return value
