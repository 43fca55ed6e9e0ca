"""From double click to picture: a 5 GB HDF5 file beside one of 6 MB, in one run.

    .venv/bin/python benchmarks/hdf5.py [--runs N]

A real portal, a real JupyterLab and Chromium. Both files hold frames of 1000x1000 detector-like
counts, all of them written: 2500 as they came, 3 in the small one, and once more 2500 packed frame
by frame with bitshuffle and LZ4, as Eiger detectors write them. A small file's time is what
JupyterLab and h5web themselves take; the ratio tells what size costs on top.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/real"))
from kernels import Kernel
from lab import open_hdf5
from portals import RunningPortal, log_in

FILES = ("small.h5", "large.h5", "packed.h5")
WRITE = """
import os, h5py, hdf5plugin, numpy as np
rows, columns = np.mgrid[:1000, :1000]
mean = 50 * np.exp(-((rows - 400) ** 2 + (columns - 600) ** 2) / 2e4)
rng = np.random.default_rng(1)
frames_seen = [rng.poisson(mean).astype("uint16") for _ in range(8)]
eiger = {"chunks": (1, 1000, 1000), **hdf5plugin.Bitshuffle()}
for name, n, how in ("small.h5", 3, {}), ("large.h5", 2500, {}), ("packed.h5", 2500, eiger):
    with h5py.File(name, "w") as file:
        frames = file.create_dataset("frames", (n, 1000, 1000), "uint16", **how)
        for i in range(n):
            frames[i] = frames_seen[i % 8]
        file.attrs["default"] = "frames"
    print(name, os.path.getsize(name))
os.sync()
"""


def seconds_to_open(page: Page, url: str, name: str) -> float:
    """Open a file in a new JupyterLab, and return the seconds until it is drawn."""
    page.goto(f"{url}/user/ada/pyfai/lab?reset")
    page.get_by_role("listitem", name=f"Name: {name}").wait_for(timeout=60_000)
    page.wait_for_timeout(2000)  # until JupyterLab has nothing else to do
    began = time.monotonic()
    open_hdf5(page, name)
    return time.monotonic() - began


def compare(page: Page, url: str, runs: int) -> None:
    """Open all files in turn, and print what that takes."""
    rows = [[seconds_to_open(page, url, name) for name in FILES] for _ in range(runs)]
    small = [row[0] for row in rows]
    for name, times in zip(FILES, zip(*rows, strict=True), strict=True):
        ratio = statistics.median(t / s for t, s in zip(times, small, strict=True))
        median = statistics.median(times)
        print(
            f"{name:10} {median:5.2f} s ({min(times):.2f} to {max(times):.2f}), ratio {ratio:.2f}"
        )


def main(runs: int) -> None:
    state = Path(tempfile.mkdtemp(prefix="beamhub-bench-"))
    state.chmod(0o711)
    portal = RunningPortal(state)
    try:
        ada = portal.login("ada")
        portal.start_server(ada, "pyfai")
        kernel = Kernel(portal, ada, "/user/ada/pyfai/")
        print(kernel.run(f"%cd -q ~\n{WRITE}", seconds=600), end="")
        with sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
            )
            page = chromium.new_page()
            log_in(page, portal, "ada")
            compare(page, portal.url, runs)
    finally:
        portal.stop()
        shutil.rmtree(state, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    main(parser.parse_args().runs)
