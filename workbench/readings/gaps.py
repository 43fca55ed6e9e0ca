"""What detectors write where they measured nothing: numbers that no pixel counts to."""

from collections.abc import Mapping

MARKS: Mapping[str, Mapping[int, str]] = {
    "uint32": {2**32 - 1: "gap or bad pixel", 2**32 - 2: "bad pixel"},
    "uint16": {2**16 - 1: "gap, bad or saturated pixel", 2**16 - 2: "bad pixel"},
    "uint64": {2**64 - 1: "gap or bad pixel", 2**32 - 1: "gap or bad pixel"},
    "int64": {2**32 - 1: "gap or bad pixel"},
    "int32": {2**31 - 1: "saturated pixel"},
    "int16": {2**15 - 1: "saturated pixel"},
    "uint8": {2**8 - 1: "gap, bad or saturated pixel"},
}
"""By NumPy's name of the type. A negative number, and NaN, isn't a count in any type."""
