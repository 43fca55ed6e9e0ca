"""Engines of Pty-chi (Argonne National Laboratory, Apache-2.0)."""

import contextlib
import io
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np

from ..scan import Scan, State
from ..series import Pace
from ..shelf import Count, Positive, Share, Whole, engines


@engines.put("LSQML")
def lsqml(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    batch: Count = 20, momentum: Share = 0.0, noise: Literal["gaussian", "poisson"] = "gaussian",
    compact: bool = False,
) -> State:  # fmt: skip
    """Least squares with optimal step sizes (Odstrčil et al. 2018); the work horse of cSAXS."""
    import ptychi.api as api

    options = api.LSQMLOptions()
    options.reconstructor_options.momentum_acceleration_gain = momentum
    options.reconstructor_options.noise_model = api.NoiseModels(noise)
    # Its first epoch otherwise only scales the beam, which another engine has done already.
    options.reconstructor_options.rescale_probe_intensity_in_first_epoch = not state.errors
    if compact:
        options.reconstructor_options.batching_mode = api.BatchingModes.COMPACT
    return run(options, scan, state, pace, seed, device, batch=batch)


@engines.put("ePIE")
def epie(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    batch: Count = 1, sample_step: Positive = 1.0, probe_step: Positive = 1.0,
) -> State:  # fmt: skip
    """Frame by frame, steps scaled by the brightest pixel (Maiden and Rodenburg 2009)."""
    import ptychi.api as api

    return pie(api.EPIEOptions(), sample_step, probe_step, scan, state, pace, seed, device, batch)


@engines.put("rPIE")
def rpie(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    batch: Count = 1, sample_step: Positive = 0.1, probe_step: Positive = 1.0,
) -> State:  # fmt: skip
    """Like ePIE with larger steps where it is dark (Maiden, Johnson and Li 2017)."""
    import ptychi.api as api

    return pie(api.RPIEOptions(), sample_step, probe_step, scan, state, pace, seed, device, batch)


@engines.put("DM")
def dm(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    sample_inertia: Share = 0.0, probe_inertia: Share = 0.0, probe_from: Whole = 0,
) -> State:  # fmt: skip
    """Difference map, all frames at once (Thibault et al. 2008): robust, and noisy at the end."""
    import ptychi.api as api

    options = api.DMOptions()
    options.reconstructor_options.chunk_length = len(scan.frames)
    options.object_options.inertia = sample_inertia
    options.probe_options.inertia = probe_inertia
    options.probe_options.optimization_plan.start = probe_from
    return run(options, scan, state, pace, seed, device, batch=len(scan.frames))


@engines.put("RAAR")
def raar(
    scan: Scan, state: State, pace: Pace, seed: int, device: str,
    beta: Share = 0.75, sample_inertia: Share = 0.0, probe_inertia: Share = 0.0, probe_from: Whole = 0,
) -> State:  # fmt: skip
    """Relaxed averaged alternating reflections, all frames at once (Luke 2005)."""
    import ptychi.api as api

    options = api.RAAROptions()
    options.reconstructor_options.beta = beta
    options.reconstructor_options.chunk_length = len(scan.frames)
    options.object_options.inertia = sample_inertia
    options.probe_options.inertia = probe_inertia
    options.probe_options.optimization_plan.start = probe_from
    return run(options, scan, state, pace, seed, device, batch=len(scan.frames))


def pie(
    options: Any, sample_step: float, probe_step: float,
    scan: Scan, state: State, pace: Pace, seed: int, device: str, batch: int,
) -> State:  # fmt: skip
    """Run one of the two that differ only in how steps are scaled."""
    options.object_options.alpha = sample_step
    options.probe_options.alpha = probe_step
    return run(options, scan, state, pace, seed, device, batch=batch)


def run(
    options: Any, scan: Scan, state: State, pace: Pace, seed: int, device: str, *, batch: int
) -> State:
    """Run an engine of Pty-chi from a state to a state.

    Parameters
    ----------
    options : ptychi.api.options.task.PtychographyTaskOptions
        Of the engine.
    batch : int
        Frames in a batch.
    """
    import ptychi.api as api
    import torch
    from ptychi.api.task import PtychographyTask

    common = options.reconstructor_options
    common.batch_size, common.random_seed = batch, seed
    common.num_epochs = pace.epochs
    common.default_device = api.Devices.GPU if device == "cuda" else api.Devices.CPU
    options.data_options.wavelength_m = scan.wavelength_m
    options.object_options.pixel_size_m = scan.object_pixel_m
    options.object_options.determine_position_origin_coords_by = (
        api.ObjectPosOriginCoordsMethods.SPECIFIED
    )
    # Pty-chi counts from the corner of pixel [0, 0] of the patch's middle: half a pixel less.
    options.object_options.position_origin_coords = [-0.5, -0.5]
    try:
        with quiet():
            task = PtychographyTask(
                options,
                diffraction_data=scan.frames,
                object_data=state.sample[None],
                probe_data=state.probe[None] / scan.edge,  # its Fourier transforms aren't unitary
                probe_position_y_px=state.positions_px[:, 0].astype(np.float32),
                probe_position_x_px=state.positions_px[:, 1].astype(np.float32),
                valid_pixel_mask=scan.good,
            )
        for count, epoch in pace.stretches():
            with quiet():
                task.run(count)
            state = took(task, state, scan.edge)
            pace.note(epoch, state)
    finally:
        torch.set_default_device("cpu")  # Pty-chi changes it for everybody
    return state


def took(task: Any, state: State, edge: int) -> State:
    """Return what the engine has now, with what the state knew before."""
    get: Callable[[str], np.ndarray] = lambda name: task.get_data_to_cpu(name, as_numpy=True)  # noqa: E731
    return State(
        get("object")[0].astype(np.complex64),
        get("probe")[0].astype(np.complex64) * edge,
        get("probe_positions").astype(np.float64),
        state.errors,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library's progress bar and log out of a notebook."""
    with contextlib.redirect_stderr(io.StringIO()):
        yield
