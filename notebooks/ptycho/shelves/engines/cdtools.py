"""The engine of CDTools (MIT and PSI, MIT licence): a model of the experiment, differentiated."""

import numpy as np

from ..recipe import Pace
from ..scan import Scan, State
from ..shelf import engines


@engines.put("Adam")
def adam(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    batch: int = 15, rate: float = 0.02, loss: str = "amplitude mse",
) -> State:  # fmt: skip
    """Gradient descent with Adam's step sizes on all unknowns, by automatic differentiation."""
    import torch
    from cdtools.datasets import Ptycho2DDataset
    from cdtools.models import FancyPtycho
    from cdtools.reconstructors import AdamReconstructor

    torch.manual_seed(seed)
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
    )
    model.to(device=device)
    data.get_as(device=device)
    worker = AdamReconstructor(model, data)
    for count, epoch in pace.stretches():
        for _ in worker.optimize(count, batch_size=batch, lr=rate, thread=False):
            pass
        probe = (model.probe * model.probe_norm).detach().cpu().numpy()
        sample = model.obj.detach().cpu().numpy()
        state = State(
            sample.astype(np.complex64), probe.astype(np.complex64), state.positions_px, state.errors
        )
        pace.note(epoch, state)
    return state
