"""Ptychography's recipes: the how-to followed word by word, and the notebooks' controls pressed."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from portals import ROOT
from ptycho import copied, run_code

HOW_TO = ROOT / "docs/how-to/ptychography-recipes.md"
BLOCK = re.compile(
    r"^```(?:python|yaml)\n# (\S+\.(?:py|yaml))\n(.*?)^```", re.MULTILINE | re.DOTALL
)

RAW = """
from pathlib import Path
import h5py
import numpy as np
import simulation
from shelves import read

simulation.scan(Path(), 3)
scan = read(Path("scan.cxi"))
good = scan.frames * scan.good
np.savez("scan.npz", counts=good.astype(np.int32), motors_um=scan.positions_m * 1e6)
np.savez("stopped.npz", counts=good, motors_um=scan.positions_m[:-1] * 1e6)
"""

MINE = """
from pathlib import Path
import h5py
import numpy as np
from shelves import SHELVES, Recipe, judge, read, reconstruct

found = {name for shelf in SHELVES for name, _ in shelf.table()}
assert {"mine", "my_beamline"} <= found
recipe = Recipe.from_yaml(Path("mine.yaml").read_text())
scan = recipe.read(Path("scan.npz"))
assert read(Path("scan.npz")).origin == "scan.npz"  # found by itself too
first = recipe.begin(scan)
report = reconstruct(recipe, scan, every=3)
with h5py.File("truth.h5") as file:
    truth = file["object"][()]
errors = [judge.compare(state.sample, truth, 48).error for state in report.states]
print(errors, report.state.errors)
assert [name for name, _, _ in report.state.errors] == ["mine"] * 2 + ["LSQML"] * 2
assert [epoch for _, epoch, _ in report.state.errors] == [3, 6, 9, 12]
assert errors[0] > 0.9 and errors[1] < 0.7 and errors[2] < errors[1]
for words, call in {
    "reader 'my_beamline': distance_m: input should be greater than 0": lambda: Recipe.from_yaml(
        Path("mine.yaml").read_text().replace("2.2", "-2.2")
    ),
    "engine 'mine' has no option 'stop': did you mean 'step'?": lambda: Recipe(
        engines=[{"use": "mine", "epochs": 1, "stop": 2}]
    ),
    "stopped.npz: the scan was stopped": lambda: read(Path("stopped.npz")),
}.items():
    try:
        call()
    except ValueError as problem:
        assert words in str(problem), problem
    else:
        raise AssertionError(words)
"""

PRESS = """
import base64, io, sys
from pathlib import Path
import nbformat
import numpy as np
from PIL import Image
from workbench.parameters import set_parameters
from workbench.run import execute

name, *cells = sys.argv[1:]
notebook = nbformat.read(name, as_version=4)
set_parameters(notebook, {"EPOCHS": 6, "SEEDS": (5,), "SEED": 5})
kept = [c for c in notebook.cells if "SHORT = 15" not in c.source and "faulty" not in c.source]
notebook.cells = [*kept, *map(nbformat.v4.new_code_cell, cells)]
stopped = execute(notebook, Path(name).resolve(), lambda *_: None)
assert stopped is None, stopped
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        if "figures.Live" in cell.source and "image/png" in output.get("data", {}):
            picture = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
            pixels = np.asarray(picture.convert("RGB"), float)
            # A sample on the left, a probe in the middle: axes without them would be white.
            third = pixels.shape[1] // 3
            inside = pixels[80:-60, 60 : third - 60], pixels[80:-60, third + 60 : 2 * third - 60]
            assert all(part.min() < 128 for part in inside), [part.min() for part in inside]
            print("a picture")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the use case's folder."""
    return copied(tmp_path_factory.mktemp("recipes") / "ptycho")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_how_to_is_true(state_folder: Callable[[], Path], folder: Path) -> None:
    """A new engine and a new detector, each one small file, and a recipe that stacks them."""
    state = state_folder()
    files = dict(BLOCK.findall(HOW_TO.read_text(encoding="utf-8")))
    assert {"recipe.yaml", "run_recipe.py", "mine.yaml"} < set(files)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    run_code(RAW, state, folder, folder)
    said = run_code(files["run_recipe.py"], state, folder, folder)
    assert re.fullmatch(r"distance to the data 0\.0[12]\d\d\n", said)
    assert (folder / "result.cxi").stat().st_size > 100_000
    run_code(MINE, state, folder, folder)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "press"),
    [
        (
            "02_reconstruct.ipynb",
            "bench.engine.value, bench.epochs.value = 'Adam', 2\nbench.run()\n"
            "assert 'error against the truth' in bench.words.value, bench.words.value\n"
            "bench.engine.value = 'RAAR'\nbench.defocus.value = 0\nbench.run()\n"
            "assert 'RAAR' in bench.words.value, bench.words.value\n"
            "assert not bench.button.disabled",
        ),
        (
            "03_stack_engines.ipynb",
            "for (name, epochs), value in zip(stack.rows, ('DM', 'Adam', 'none')):\n"
            "    name.value, epochs.value = value, 2\n"
            "assert '- use: DM' in stack.recipe.value and '- use: Adam' in stack.recipe.value\n"
            "stack.run()\n"
            "assert 'error against the truth' in stack.words.value, stack.words.value\n"
            "for name, _ in stack.rows:\n    name.value = 'none'\n"
            "stack.run()\n"
            "assert 'engines' in stack.words.value, stack.words.value",
        ),
    ],
)
def test_controls(state_folder: Callable[[], Path], folder: Path, name: str, press: str) -> None:
    """Recipes are put together and run with controls; the live figure is stored as a picture."""
    assert "a picture" in run_code(PRESS, state_folder(), folder, folder, name, press)
