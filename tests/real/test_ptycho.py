"""Ptychography's shelves in their own environment: conventions, engines, the device."""

from collections.abc import Callable
from pathlib import Path

import pytest
from ptycho import BEGIN, copied, run_code

CONVENTIONS = """
mine = scan.positions_px()[0]
assert np.ptp(mine - at, axis=0).max() < 1e-6
noise = Model(scan).error(State(sample, probe[None], at))
swapped = Model(scan).error(State(sample.T, probe[None], at))
assert noise < 0.03 < 0.05 < swapped, (noise, swapped)
"""

JUDGE = """
edge = 48
ramp = judge.slope(len(sample), np.array([0.013, -0.021]))
changed = judge.moved(sample * ramp, np.array([1.37, -2.6])) * 0.7 * np.exp(1.1j)
verdict = judge.compare(changed, sample, edge)
assert verdict.error < 0.06 and verdict.cut == 1.0, (verdict.error, verdict.cut)
noise = np.random.default_rng(1).normal(size=(2, *sample.shape))
lost = judge.compare(noise[0] + 1j * noise[1], sample, edge)
assert lost.error > 0.8 and lost.cut < 0.4, (lost.error, lost.cut)
"""

ENGINES = """
for name in shelf.engines:
    recipe = Recipe(start="mean_pattern", engines=[{"use": name, "epochs": 1}])
    begin = State(sample.copy(), probe[None].copy(), at)
    thin = scan.changed(frames=scan.frames[::4], positions_m=scan.positions_m[::4])
    begin.positions_px = at[::4]
    held = reconstruct(recipe, thin, start=begin).state
    # From the truth, one epoch stays near it: no shift by half a pixel, no other scale.
    verdict = judge.compare(held.sample, sample, 32)
    power = np.sum(np.abs(held.probe) ** 2) / np.sum(np.abs(probe) ** 2)
    print(name, verdict.error, power)
    assert verdict.error < 0.5 and 0.6 < power < 1.6, (name, verdict.error, power)
    assert held.errors[-1][2] < 0.1, (name, held.errors)
"""

POSITIONS = """
rng = np.random.default_rng(7)
off = rng.normal(0, 1.0, scan.positions_m.shape) * scan.object_pixel_m
wrong = scan.changed(positions_m=scan.positions_m + off)
begin = {
    "use": "zone_plate", "defocus_m": 1.8e-4, "diameter_m": 1.7e-4, "outermost_zone_m": 1e-7,
    "central_stop_m": 5e-5
}

def run(**options):
    recipe = Recipe(start=begin, engines=[{"use": "Adam", "epochs": 24, **options}])
    return reconstruct(recipe, wrong, every=24).state

def away(state):
    off = state.positions_px - at
    return float(np.sqrt(np.mean((off - off.mean(axis=0)) ** 2)))

held, refined = run(), run(position_step=0.02)
errors = [judge.compare(state.sample, sample, 48).error for state in (held, refined)]
print(away(held), away(refined), errors)
assert away(held) > 0.8 and away(refined) < 0.5 * away(held)
assert errors[0] > 1.4 * errors[1] and errors[1] < 0.3
"""

DEVICE = """
import torch
from shelves import device

seen = []
raises = lambda: None

@shelf.engines.put("faulty")
def faulty(scan, state, pace, seed, device):
    seen.append(device)
    raises()
    state.sample[:] = np.nan
    pace.note(4, state)
    return state

recipe = Recipe(engines=[{"use": "faulty", "epochs": 4}])
says("faulty diverged: by epoch 4", lambda: reconstruct(recipe, scan), FloatingPointError)

def raises():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
words = "the GPU's memory is too small for faulty with 120 frames of 64 x 64 pixels: take a smaller"
says(words, lambda: reconstruct(recipe, scan), MemoryError)

def raises():
    torch.empty(2**60)
says("the memory of this server is too small", lambda: reconstruct(recipe, scan), MemoryError)

def raises():
    raise RuntimeError("shapes differ")
says("shapes differ", lambda: reconstruct(recipe, scan), RuntimeError)

# One place decides, and engines compute where it says.
here = "cuda" if torch.cuda.is_available() else "cpu"
assert seen == [here] * 4 and device.choose() == here and device.choose("cpu") == "cpu"
assert device.words("cpu").startswith("the processor, ")
if here == "cpu":
    says("PyTorch sees none here", lambda: device.choose("cuda"))
torch.cuda.is_available = lambda: True
assert (device.choose(), device.choose("cuda"), device.choose("cpu")) == ("cuda", "cuda", "cpu")
ok = Recipe(engines=[{"use": "LSQML", "epochs": 1}], device="cpu")
assert reconstruct(ok, scan).device == "cpu"
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "code",
    [CONVENTIONS, JUDGE, ENGINES, POSITIONS, DEVICE],
    ids=["conventions", "judge", "engines", "positions", "device"],
)
def test_shelves(state_folder: Callable[[], Path], tmp_path: Path, code: str) -> None:
    folder = copied(tmp_path / "ptycho")
    run_code(BEGIN + code, state_folder(), folder, tmp_path, str(folder))
