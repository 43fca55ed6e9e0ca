"""Reference data, from the server to files that can be used: this beside curl, aria2c and pooch.

    .venv/bin/python benchmarks/data.py [--gb 1] [--runs 3] [--only capped/tar] [--folder DIR]

The same made-up detector frames are served as a tar archive, the same gzipped, single files and
one large file, by a real server in a process of its own: once as fast as it can, once with 25 MB/s
for each connection. In turn, round by round, each contender brings them into an empty folder, and
each stage that none can do without is measured alone on the same bytes: wire, hash, unpack, disk.
As gzip is slow at it, what unpacks a .tar.gz is also measured with zlib; the faster of both counts.
'This' is ``data.fetch``. It runs in a fresh process, the start of Python not counted, neither its
own nor pooch's: a notebook's is over by then. A contender's ratios are those of one round: to its
slowest stage, and of this to it. Seconds drift with the machine's load; ratios are what to compare.

Memory is that of the largest process, and at least this benchmark's own 30 MB. pooch is installed
into an environment of its own, made by uv; a peer that can't be had is named as left out.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist, median

ROOT = Path(__file__).parents[1]
FRAME_BYTES = 6_600_000
BLOCK = 512 << 10
CAP_MB_S = 25
CONNECTIONS = 8
PROGRAMS = ("aria2c", "curl")
CURL = "curl -sSf --no-progress-meter"

OURS = """
import sys, time
from pathlib import Path
from workbench import data
print("called", time.monotonic(), time.process_time(), flush=True)
files = data.fetch(sys.argv[1], progress=False)
print("usable", flush=True)
size = sum(path.stat().st_size for path in files)
status = Path("/proc/self/status").read_text()
print("peak", status.partition("VmHWM:")[2].split()[0])
"""
POOCH = """
import json, logging, sys, time
import pooch
print("called", time.monotonic(), time.process_time(), flush=True)
pooch.get_logger().setLevel(logging.ERROR)
base, sums, unpack = json.loads(sys.argv[1])
urls = {name: base + name for name in sums}
shelf = pooch.create(path=".", base_url=base, registry=sums, urls=urls)
for name in sums:
    shelf.fetch(name, processor=pooch.Untar(extract_dir="out") if unpack else None)
    print("usable", flush=True)
"""
MANIFEST = {
    "title": "Measured",
    "summary": "Frames that nobody took.",
    "description": "Data for the benchmark of reference data, and nothing else than that.",
    "leading_house": {"name": "BeamHub", "url": "https://example.org"},
    "science_domain": "None at all",
    "maintainers": [{"name": "BeamHub", "contact": "https://example.org"}],
    "version": "1.0.0",
    "software": [{"name": "None", "version": "1", "licence": "MIT", "url": "https://example.org"}],
    "resources": {
        "least": {"cores": 1, "memory_gib": 1},
        "advised": {"cores": 1, "memory_gib": 1},
    },
    "coming": ["Nothing more will come."],
}


@dataclass(frozen=True)
class Case:
    """One way to serve the frames."""

    server: str
    kind: str
    base: str
    folder: Path
    sums: dict[str, str]  # of the files served, by name
    frames: dict[str, str]  # of what they hold

    @property
    def name(self) -> str:
        return f"{self.server}/{self.kind}"

    @property
    def archive(self) -> bool:
        return self.kind.startswith("tar")


@dataclass
class Ran:
    """What one contender did in one round."""

    wall: float
    cpu: float
    peak_mb: float
    usable: float | None  # seconds until the first file that is verified
    start: float  # seconds of Python's start and imports, counted in nothing else


@dataclass
class Results:
    """All rounds of one case."""

    runs: dict[str, list[Ran]] = field(default_factory=dict)
    stages: dict[str, list[float]] = field(default_factory=dict)


# ---------------------------------------------------------------------- what is served


def counts() -> bytes:
    """Return a table from even random bytes to photon counts that gzip packs about 1.8 times."""
    photons = NormalDist(100, 25)
    return bytes(min(255, max(0, round(photons.inv_cdf((i + 0.5) / 256)))) for i in range(256))


def make_files(folder: Path, size_bytes: int) -> dict[str, dict[str, str]]:
    """Write the frames in every form; return the checksums, by form and name."""
    table, frame = counts(), bytearray(FRAME_BYTES)
    (folder / "frames").mkdir()
    frames = {}
    with tarfile.open(folder / "frames.tar", "w") as archive:
        for number in range(max(1, round(size_bytes / FRAME_BYTES))):
            frame[::2] = os.urandom(FRAME_BYTES // 2).translate(table)
            path = folder / "frames" / f"frame_{number:04}.bin"
            path.write_bytes(frame)
            archive.add(path, f"frames/{path.name}")
            frames[f"frames/{path.name}"] = hashlib.sha256(frame).hexdigest()
    subprocess.run(["gzip", "-1k", folder / "frames.tar"], check=True)
    (folder / "frames.h5").hardlink_to(folder / "frames.tar")
    tar, packed = (sha256_of(folder / name) for name in ("frames.tar", "frames.tar.gz"))
    return {
        "tar": {"frames.tar": tar},
        "tar.gz": {"frames.tar.gz": packed},
        "many": frames,
        "one": {"frames.h5": tar},
    }


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, case: Case) -> None:
    """Declare a case as a data set."""
    folder.mkdir(parents=True)
    files = [
        {
            "name": file,
            "urls": [f"{case.base}{file}"],
            "size_bytes": (case.folder / file).stat().st_size,
            "sha256": sha256,
            "unpack": case.archive,
        }
        for file, sha256 in case.sums.items()
    ]
    about = {"title": "Frames", "licence": "CC0-1.0", "source": "download", "files": files}
    sets = {"data_sets": {"frames": about}}
    (folder / "usecase.yaml").write_text(json.dumps(MANIFEST | sets))


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Yield the address of a server in a process of its own."""
    program = [sys.executable, ROOT / "tests/data_server.py", folder, *options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/"
        finally:
            server.terminate()


# ---------------------------------------------------------------------- who brings it


def contenders(case: Case, python_with_pooch: Path | None) -> dict[str, list[str | Path]]:
    """Return the command of each that can do this case here."""
    found: dict[str, list[str | Path]] = {"this": [sys.executable, "-c", OURS, "frames"]}
    found |= {name: ["bash", "-ec", f"set -o pipefail; {c}"] for name, c in shell(case).items()}
    if python_with_pooch:
        told = json.dumps([case.base, case.sums, case.archive])
        found["pooch"] = [python_with_pooch, "-c", POOCH, told]
    return found


def shell(case: Case) -> dict[str, str]:
    """Return what one would type, by its name."""
    aria = "aria2c --console-log-level=notice --show-console-readout=false --file-allocation=none"
    fetch = f"{CURL} --remote-name-all --create-dirs"
    if case.kind == "many":
        sums = "".join(f"{sha256}  {name}\n" for name, sha256 in case.sums.items())
        urls = "".join(f'url={case.base}{name}\noutput="{name}"\n' for name in case.sums)
        listed = "".join(
            f"{case.base}{n}\n  out={n}\n  checksum=sha-256={s}\n" for n, s in case.sums.items()
        )
        Path(case.folder / f"{case.server}.sums").write_text(sums)
        Path(case.folder / f"{case.server}.curl").write_text(urls)
        Path(case.folder / f"{case.server}.aria").write_text(listed)
        curl = f"{fetch} -Z --parallel-max {CONNECTIONS} -K {case.folder / case.server}.curl"
        return {
            "curl -Z, nothing verified": curl,
            "curl -Z, sha256sum": f"{curl}; sha256sum -c --quiet {case.folder / case.server}.sums",
            "aria2c -j8 -x8": f"{aria} -j{CONNECTIONS} -x{CONNECTIONS} -s{CONNECTIONS} "
            f"-i {case.folder / case.server}.aria",
        }
    name, sha256 = next(iter(case.sums.items()))
    check = f"echo '{sha256}  {name}' | sha256sum -c --quiet"
    aria += f" -x{CONNECTIONS} -s{CONNECTIONS} --checksum=sha-256={sha256} {case.base}{name}"
    if not case.archive:
        return {
            "curl, nothing verified": f"{fetch} {case.base}{name}",
            "curl, sha256sum": f"{fetch} {case.base}{name}; {check}",
            "aria2c -x8 -s8": aria,
        }
    tar = "tar xz" if case.kind.endswith("gz") else "tar x"
    return {
        f"curl into {tar}, nothing verified": f"{CURL} {case.base}{name} | {tar}",
        f"curl, sha256sum, {tar}": f"{fetch} {case.base}{name}; {check}; {tar}f {name}",
        f"aria2c -x8 -s8, {tar}": f"{aria}; {tar}f {name}",
    }


def run(name: str, command: list[str | Path], case: Case, scratch: Path, notebooks: Path) -> Ran:
    """Run a contender in an empty folder, and see that everything is there afterwards."""
    os.sync()
    scratch.mkdir()
    own = {
        "BEAMHUB_NOTEBOOKS": notebooks,
        "BEAMHUB_USE_CASE": "measured",
        "BEAMHUB_DATA_CACHE": scratch / "cache",
        "HOME": scratch,
        "PYTHONPATH": ROOT,
    }
    own = {key: str(value) for key, value in own.items()} if name.startswith("this") else {}
    signs = {}
    with (scratch / "errors").open("wb") as errors:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=scratch,
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout
        for line in process.stdout:
            word = re.search(r"called|usable|peak|Download complete", line)
            if word:
                signs.setdefault(word[0], (time.monotonic() - began, line.split()))
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{case.name}, {name}: {(scratch / 'errors').read_text()[-2000:]}")
    check_complete(name, case, scratch)
    shutil.rmtree(scratch, onerror=make_writable)
    usable, kib = None, float(used.ru_maxrss)
    start, cpu = 0.0, used.ru_utime + used.ru_stime
    if "called" in signs:
        at, used_by_then = signs["called"][1][-2:]
        start, cpu = float(at) - began, cpu - float(used_by_then)
    if "verified" not in name:
        waits = case.archive or "sha256sum" in name
        sign = signs.get("usable") or signs.get("Download complete")
        usable = sign[0] if sign and (name.startswith("this") or not waits) else wall
        usable -= start
    if "peak" in signs:
        kib = float(signs["peak"][1][-1])
    return Ran(wall - start, cpu, kib * 1024 / 1e6, usable, start)


def check_complete(name: str, case: Case, folder: Path) -> None:
    wanted = case.sums if case.kind == "one" else case.frames
    sizes = {Path(n).name: (case.folder / n).stat().st_size for n in wanted}
    found = {p.name: p.stat().st_size for p in folder.rglob("*") if p.name in sizes}
    if found != sizes:
        raise SystemExit(f"{case.name}, {name} brought {len(found)} of {len(sizes)} files")


def make_writable(remove: Callable[[str], object], path: str, _: object) -> None:
    """Give back the right to remove what lies in a read-only folder."""
    Path(path).parent.chmod(0o700)
    remove(path)


# ---------------------------------------------------------------------- single stages


def stages(case: Case, scratch: Path) -> dict[str, float]:
    """Return the seconds of each stage alone."""
    os.sync()
    scratch.mkdir()
    files = [case.folder / name for name in case.sums]
    found = {"wire": seconds(lambda: subprocess.run(["bash", "-ec", wire(case)], check=True))}
    found["hash"] = seconds(lambda: [sha256_of(path) for path in files])
    if case.archive:
        unpack = f"gzip -dc {files[0]} | tar x" if case.kind == "tar.gz" else f"tar xf {files[0]}"
        found["unpack"] = seconds(
            lambda: subprocess.run(["bash", "-ec", unpack], check=True, cwd=scratch)
        )
        if case.kind == "tar.gz":
            found["inflate"] = seconds(lambda: inflate(files[0]))
        files = [case.folder / name for name in case.frames]
    found["disk"] = seconds(lambda: write_same(files, scratch))
    shutil.rmtree(scratch)
    return found


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def inflate(path: Path) -> None:
    inner = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            inner.decompress(block)


def wire(case: Case) -> str:
    """Return the command that fetches with one connection, or with eight where each is capped."""
    quiet = f"{CURL} -o /dev/null"
    if case.kind == "many":
        urls = case.folder / f"{case.server}.urls"
        urls.write_text("".join(f"url={case.base}{n}\noutput=/dev/null\n" for n in case.sums))
        side = f"-Z --parallel-max {CONNECTIONS}" if case.server == "capped" else ""
        return f"{CURL} {side} -K {urls}"
    name = next(iter(case.sums))
    if case.server == "free":
        return f"{quiet} {case.base}{name}"
    size = (case.folder / name).stat().st_size
    edges = [size * i // CONNECTIONS for i in range(CONNECTIONS + 1)]
    parts = [f"{a}-{b - 1}" for a, b in pairwise(edges)]
    return "".join(f"{quiet} -r {part} {case.base}{name} & " for part in parts) + "wait"


def write_same(files: list[Path], folder: Path) -> None:
    """Write as many bytes into as many files, in blocks of the size that arrives."""
    block = bytes(BLOCK)
    for number, path in enumerate(files):
        left = path.stat().st_size
        with (folder / f"written-{number}").open("wb", buffering=0) as file:
            while left:
                left -= file.write(block[:left])


# ---------------------------------------------------------------------- what came out


def table(case: Case, results: Results) -> str:
    """Return one case as Markdown."""
    ours = [name for name in results.runs if name.startswith("this")]
    slowest = slowest_stage(results)
    alone = ", ".join(f"{name} {spread(times)}" for name, times in results.stages.items())
    starts = {n: median(r.start for r in results.runs[n]) for n in results.runs}
    told = ", ".join(f"{name} {start:.2f}" for name, start in starts.items() if start)
    head = ["", "wall s", "/ slowest stage", "CPU s", "peak MB", "first file s", "of wall"]
    head += [f"{name} / it" for name in ours]
    lines = [
        f"### {case.name}\n",
        f"Stages alone, s: {alone}.\nPython's start, not counted, s: {told}.\n",
        f"| {' | '.join(head)} |",
        "|---" + "|--:" * (len(head) - 1) + "|",
    ]
    for name, runs in results.runs.items():
        walls = [r.wall for r in runs]
        usable = [r.usable for r in runs if r.usable is not None]
        cells = [
            name,
            spread(walls),
            spread(ratios(walls, slowest)),
            f"{median(r.cpu for r in runs):.1f}",
            f"{median(r.peak_mb for r in runs):.0f}",
            spread(usable) if usable else "never verified",
            f"{100 * median(ratios(usable, walls)):.0f} %" if usable else "",
        ]
        for one in ours:
            own = [r.wall for r in results.runs[one]]
            cells.append(spread(ratios(own, walls)) if name not in ours else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def slowest_stage(results: Results) -> list[float]:
    """Return the seconds of the slowest stage, round by round."""
    used = dict(results.stages)
    if "inflate" in used:
        used["unpack"] = [
            min(pair) for pair in zip(used.pop("inflate"), used["unpack"], strict=True)
        ]
    return [max(times) for times in zip(*used.values(), strict=True)]


def ratios(some: list[float], others: list[float]) -> list[float]:
    return [a / b for a, b in zip(some, others, strict=True)]


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def environment_with_pooch(folder: Path) -> Path | None:
    """Return the Python of a new environment that has pooch, None where it can't be made."""
    uv, python = Path(sys.executable).with_name("uv"), folder / "bin/python"
    with suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "pooch"], check=True)
        return python
    return None


def measure(case: Case, runs: int, scratch: Path, pooch: Path | None) -> Results:
    """Run all contenders and stages in turn, as many rounds as asked for."""
    results = Results()
    for _ in range(runs):
        for stage, took in stages(case, scratch / "run").items():
            results.stages.setdefault(stage, []).append(took)
        for name, command in contenders(case, pooch).items():
            program = re.split("[ ,]", name)[0]
            if program in PROGRAMS and not shutil.which(program):
                continue
            ran = run(name, command, case, scratch / "run", scratch / case.name)
            results.runs.setdefault(name, []).append(ran)
            print(f"  {case.name}, {name}: {ran.wall:.2f} s", file=sys.stderr)
    return results


def main(gb: float, runs: int, only: str, folder: Path | None) -> None:
    with ExitStack() as stack:
        scratch = Path(tempfile.mkdtemp(prefix="beamhub-bench-", dir=folder))
        stack.callback(shutil.rmtree, scratch, onerror=make_writable)
        served = scratch / "served"
        served.mkdir()
        forms = make_files(served, round(gb * 1e9))
        pooch = environment_with_pooch(scratch / "pooch")
        addresses = {
            "free": stack.enter_context(serving(served)),
            "capped": stack.enter_context(serving(served, "--cap-mb-s", str(CAP_MB_S))),
        }
        cases = [
            Case(server, kind, base, served, sums, forms["many"])
            for server, base in addresses.items()
            for kind, sums in forms.items()
        ]
        for case in cases:
            write_manifest(scratch / case.name, case)
        packed = gb_of(served / "frames.tar") / gb_of(served / "frames.tar.gz")
        print(
            f"{gb_of(served / 'frames.tar'):.2f} GB in {len(forms['many'])} frames, "
            f"gzip packs them {packed:.2f} times; {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.1f}; {runs} rounds, median (least to most); capped: "
            f"{CAP_MB_S} MB/s for each connection.\n"
        )
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        missing += [] if pooch else ["pooch"]
        if missing:
            print(f"Left out, as they are not installed: {', '.join(missing)}.\n")
        for case in cases:
            if only in (case.name, case.server, case.kind, ""):
                print(table(case, measure(case, runs, scratch, pooch)), flush=True)


def gb_of(path: Path) -> float:
    return path.stat().st_size / 1e9


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gb", type=float, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="", help="a case, free/tar; or all of a server or a form")
    parser.add_argument("--folder", type=Path, help="for temporary files; on a real disk")
    given = parser.parse_args()
    main(given.gb, given.runs, given.only, given.folder)
