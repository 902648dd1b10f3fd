"""Relatives of principal components: independent, sparse and partial-least-squares components."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thermo_qc.errors import SequenceError
from thermo_qc.thermography.host import central_moments

__all__ = ["independent_images", "partial_least_squares_functions", "sparse_images"]

SAMPLE_PIXELS = 50_000


def independent_images(
    images: NDArray[np.floating], n_components: int | None = None, *, seed: int = 0, max_iterations: int = 500
) -> NDArray[np.float64]:
    """Rotate principal component images into statistically independent ones (spatial FastICA).

    Parameters
    ----------
    images : ndarray, shape (k, n)
        Leading component images of n pixels (`compute_pct`); at least as many as wanted components.
    n_components : int, optional
        Wanted independent images; k when None.
    seed : int
        For the start of the iteration and, above 50,000 pixels, the sample it is run on.
    max_iterations : int
        Limit of the iteration.

    Returns
    -------
    ndarray of float64, shape (n_components, n)
        Zero mean and unit variance over the pixels, in the order of falling absolute excess kurtosis; the sign makes
        the skewness positive, so that what stands out on a few pixels is bright.

    Raises
    ------
    SequenceError
        When there are too few images or pixels, or when the iteration does not converge.

    References
    ----------
    Hyvaerinen and Oja, Neural Networks 13 (2000) 411, 10.1016/S0893-6080(00)00026-5; in thermography: Fleuret et al.,
    Appl. Sci. 11 (2021) 4377, 10.3390/app11104377.
    """
    data = np.asarray(images, dtype=np.float64)
    wanted = data.shape[0] if n_components is None else n_components
    if data.ndim != 2 or not 1 <= wanted <= data.shape[0] or data.shape[1] <= data.shape[0]:
        raise SequenceError(
            f"{wanted} independent images are wanted of images of shape {data.shape}, expected at most as many "
            "as there are, and more pixels than images"
        )
    pixels = data.T
    if pixels.shape[0] > SAMPLE_PIXELS:
        chosen = np.random.default_rng(seed).choice(pixels.shape[0], SAMPLE_PIXELS, replace=False)
        sample = pixels[np.sort(chosen)]
    else:
        sample = pixels
    unmixer = _fitted(sample, wanted, seed, max_iterations)
    sources = np.asarray(unmixer.transform(pixels)).T
    sources -= sources.mean(axis=1, keepdims=True)
    sources /= sources.std(axis=1, keepdims=True)
    skewness, kurtosis = central_moments(sources.T)
    order = np.argsort(-np.abs(kurtosis - 3), kind="stable")
    return np.asarray((sources * np.where(skewness < 0, -1.0, 1.0)[:, None])[order])


def _fitted(sample: NDArray[np.float64], wanted: int, seed: int, max_iterations: int) -> Any:
    """Fit all components together, or one after the other where that does not settle."""
    from sklearn.decomposition import FastICA  # a second that nobody else shall pay
    from sklearn.exceptions import ConvergenceWarning

    for algorithm in ("parallel", "deflation"):
        unmixer = FastICA(
            wanted, algorithm=algorithm, whiten="unit-variance", random_state=seed, max_iter=max_iterations, tol=1e-4
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error", ConvergenceWarning)
            try:
                unmixer.fit(sample)
            except ConvergenceWarning:
                continue
        if unmixer.n_iter_ < max_iterations:
            return unmixer
    raise SequenceError(
        f"independent components did not settle in {max_iterations} iterations: some of them may be noise, which has "
        "no independent directions; ask for fewer components or another window"
    )


def sparse_images(
    images: NDArray[np.floating],
    singular_values: NDArray[np.float64],
    n_components: int,
    penalty: float,
    *,
    max_iterations: int = 200,
    tolerance: float = 1e-7,
) -> NDArray[np.float64]:
    """Sparse loadings over the pixels: principal component images with most pixels exactly zero.

    Zou, Hastie and Tibshirani's alternation for ``min |A - A B C^T|^2 + lambda |B|^2 + sum lambda_j |b_j|_1`` with
    orthonormal C, in the form for many more variables than samples (lambda to infinity, where the elastic net becomes
    a soft threshold), on the leading singular directions of the data.

    Parameters
    ----------
    images : ndarray, shape (r, n)
        Leading component images ``U^T A`` of n pixels; r at least `n_components`.
    singular_values : ndarray of float64, shape (r,)
        Theirs.
    n_components : int
        Wanted components.
    penalty : float
        Threshold as a share of each component's largest loading, 0 (principal components) to 1 (excluded).
    max_iterations : int
        Limit of the alternation.
    tolerance : float
        It ends when no entry of C changes by more.

    Returns
    -------
    ndarray of float64, shape (n_components, n)
        Loadings of unit length; the sign makes the largest one positive.

    Raises
    ------
    SequenceError
        When shapes or the penalty do not fit.

    References
    ----------
    Zou, Hastie and Tibshirani, J. Comput. Graph. Stat. 15 (2006) 265, 10.1198/106186006X113430; in thermography: Wu,
    Sfarra and Yao, IEEE Trans. Ind. Inform. 14 (2018) 5594.
    """
    data, values = np.asarray(images, dtype=np.float64), np.asarray(singular_values, dtype=np.float64)
    if data.ndim != 2 or values.shape != data.shape[:1] or not 1 <= n_components <= data.shape[0]:
        raise SequenceError(
            f"{n_components} sparse components are wanted of {values.size} singular values with images of shape "
            f"{data.shape}, expected at most as many"
        )
    if not 0 <= penalty < 1:
        raise SequenceError(f"penalty is {penalty}, expected 0 to below 1")
    known = values > 1e-12 * values[0] if values[0] > 0 else values > 0
    right = data[known] / values[known, None]  # rows are the right singular vectors
    energy = np.square(values[known])
    turned = np.eye(int(known.sum()), n_components)
    loadings = np.zeros((n_components, data.shape[1]))
    for _ in range(max_iterations):
        full = (energy[:, None] * turned).T @ right
        threshold = penalty * np.abs(full).max(axis=1, keepdims=True)
        loadings = np.sign(full) * np.maximum(np.abs(full) - threshold, 0.0)
        left, _, last = np.linalg.svd(energy[:, None] * (right @ loadings.T), full_matrices=False)
        before, turned = turned, left @ last
        if np.abs(turned - before).max() < tolerance:
            break
    length = np.linalg.norm(loadings, axis=1, keepdims=True)
    loadings = np.divide(loadings, length, out=np.zeros_like(loadings), where=length > 0)
    top = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=1)[:, None], axis=1)
    return np.asarray(loadings * np.where(top < 0, -1.0, 1.0))


def partial_least_squares_functions(
    gram: NDArray[np.float64], target: NDArray[np.float64], n_components: int
) -> NDArray[np.float64]:
    """Score vectors of partial least squares of pixels against a function of time, through the Gram matrix.

    Parameters
    ----------
    gram : ndarray of float64, shape (t, t)
        A A^T of curves with zero mean over time.
    target : ndarray of float64, shape (t,)
        What the scores are to explain, usually the time; its mean has no part.
    n_components : int
        Wanted components.

    Returns
    -------
    ndarray of float64, shape (t, n_components)
        Orthonormal scores; the images are ``scores^T A``. Each score rises with what is left of the target.

    Raises
    ------
    SequenceError
        When shapes do not fit, or the target is explained before all components are found.

    References
    ----------
    Lopez et al., NDT&E Int. 66 (2014) 128; the kernel form: Rosipal and Trejo, J. Mach. Learn. Res. 2 (2001) 97.
    """
    kernel, rest = np.array(gram, dtype=np.float64), np.array(target, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape != (rest.size, rest.size):
        raise SequenceError(
            f"the Gram matrix has shape {kernel.shape} and the target {rest.shape}, expected (t, t), (t,)"
        )
    if not 1 <= n_components < rest.size:
        raise SequenceError(
            f"{n_components} components are wanted of {rest.size} frames, expected fewer and at least 1"
        )
    rest -= rest.mean()
    first = float(np.trace(kernel))
    scores = np.zeros((rest.size, n_components))
    for number in range(n_components):
        score = kernel @ rest
        score -= scores[:, :number] @ (scores[:, :number].T @ score)
        length = float(np.linalg.norm(score))
        if not length > 1e-13 * first * float(np.linalg.norm(rest)):
            raise SequenceError(
                f"{n_components} components are wanted, but {number} explain the time completely; ask for fewer"
            )
        score /= length
        scores[:, number] = score
        kernel -= np.outer(score, score @ kernel)
        kernel -= np.outer(kernel @ score, score)
        rest -= score * (score @ rest)
    return scores
