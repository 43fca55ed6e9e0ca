"""The engine of CDTools (MIT and PSI, MIT licence): a model of the experiment, differentiated."""

from typing import Any, Literal

import numpy as np

from ..scan import Scan, State
from ..series import Pace
from ..shelf import Count, NotNegative, Positive, engines


@engines.put("Adam")
def adam(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    batch: Count = 15, rate: Positive = 0.02,
    loss: Literal["amplitude mse", "intensity mse", "poisson nll"] = "amplitude mse",
    position_step: NotNegative = 0.0,
) -> State:  # fmt: skip
    """Gradient descent with Adam's step sizes on sample, probe and, where wanted, the positions.

    A ``position_step`` above 0 refines the positions: it is about how far, in pixels, one batch
    moves those in it.
    """
    import torch
    from cdtools.reconstructors import AdamReconstructor

    torch.manual_seed(seed)
    data, model = experiment(scan, state, loss, position_step / rate)
    model.to(device=device)
    data.get_as(device=device)
    worker = AdamReconstructor(model, data)
    given = state.positions_px
    for count, epoch in pace.stretches():
        for _ in worker.optimize(count, batch_size=batch, lr=rate, thread=False):
            pass
        state = took(model, state, given)
        pace.note(epoch, state)
    return state


def experiment(scan: Scan, state: State, loss: str, position_scale: float) -> tuple:
    """Return the scan and the state as a data set and a model of CDTools.

    Parameters
    ----------
    position_scale : float
        Pixels for a step of 1 of the positions' offsets; 0 for positions that are held.
    """
    import torch
    from cdtools.datasets import Ptycho2DDataset
    from cdtools.models import FancyPtycho

    pixel, edge = scan.object_pixel_m, scan.edge
    basis = np.array([[0, pixel], [pixel, 0], [0, 0]])  # a row moves along y, a column along x
    corner = state.positions_px - edge // 2
    translations = np.concatenate([corner[:, ::-1] * pixel, np.zeros((len(corner), 1))], axis=1)
    geometry = {"distance": scan.distance_m, "basis": basis / pixel * scan.pixel_m}
    data = Ptycho2DDataset(
        translations.astype(np.float32),
        torch.as_tensor(scan.frames),
        wavelength=scan.wavelength_m,
        detector_geometry=geometry,
        mask=torch.as_tensor(scan.good),
    )
    model = FancyPtycho(
        scan.wavelength_m,
        geometry,
        basis,
        state.probe,
        state.sample,
        background=np.full((edge, edge), 1e-6, np.float32),
        mask=scan.good,
        loss=loss,
        translation_offsets=np.zeros(corner.shape, np.float32) if position_scale else None,
        translation_scale=position_scale or 1,
    )
    return data, model


def took(model: Any, state: State, given_px: np.ndarray) -> State:
    """Return what the model has now, with what the state knew before."""
    numpy = lambda tensor: tensor.detach().cpu().numpy()  # noqa: E731
    at = given_px
    if model.translation_offsets is not None:
        at = state.within(given_px + numpy(model.translation_offsets * model.translation_scale))
    probe = numpy(model.probe * model.probe_norm).astype(np.complex64)
    return State(numpy(model.obj).astype(np.complex64), probe, at, state.errors)
