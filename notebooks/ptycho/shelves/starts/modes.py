"""Several probe modes from one."""

import numpy as np


def spread(probe: np.ndarray, modes: int, share: float = 0.1) -> np.ndarray:
    """Return a probe and weaker, mutually orthogonal ones: (modes, n, n) complex64.

    Parameters
    ----------
    probe : (n, n) complex
    modes : int
        How many in all.
    share : float, optional
        Of the counts, that all further modes together get.
    """
    axis = np.arange(len(probe)) - len(probe) // 2
    shapes = [probe]
    for k in range(1, modes):
        power = (k + 1) // 2
        shapes.append(probe * (axis[:, None] if k % 2 else axis[None, :]) ** power)
    made: list[np.ndarray] = []
    for shape in shapes:  # Gram-Schmidt
        rest = shape - sum((np.vdot(m, shape) * m for m in made), np.zeros_like(shape))
        made.append(rest / np.linalg.norm(rest))
    weights = [1.0] if modes == 1 else [1 - share] + [share / (modes - 1)] * (modes - 1)
    power = np.sum(np.abs(probe) ** 2)
    return np.stack([m * np.sqrt(w * power) for m, w in zip(made, weights, strict=True)]).astype(
        np.complex64
    )
