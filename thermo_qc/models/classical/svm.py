"""Support vector machine with Platt's probabilities: trained by scikit-learn, kept as arrays, applied by NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thermo_qc.errors import ConfigError, ModelError
from thermo_qc.models.classical.linear import check_present
from thermo_qc.models.classical.samples import Standard, checked_arrays, draw_samples, spread
from thermo_qc.models.parameters import integer, number, one_of
from thermo_qc.models.trees import as_samples

__all__ = ["SupportVectors"]

KERNELS = ("rbf", "linear")
BLOCK = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class SupportVectors:
    """One margin between each pair of classes, joined to one decision per class and turned into probabilities.

    Parameters
    ----------
    mean, scale : ndarray of float64, shape (F,)
        Standardise the features.
    support : ndarray of float64, shape (S, F)
        Support vectors, standardised; with the linear kernel one vector for each pair.
    coefficients : ndarray of float64, shape (S, pairs)
        Their weights in each pair's margin.
    intercepts : ndarray of float64, shape (pairs,)
        Constants of the margins.
    gamma : ndarray of float64, shape (1,)
        Of the kernel exp(-gamma d^2); 0 for the linear kernel.
    slopes, offsets : ndarray of float64, shape (P,), or (1,) with two classes
        Of Platt's sigmoids 1 / (1 + exp(slope decision + offset)).
    present : ndarray of int32, shape (P,)
        Classes that training saw.
    n_classes : int
        Classes with sound.

    References
    ----------
    Cortes, C., Vapnik, V. (1995). Support-vector networks. Machine Learning 20. https://doi.org/10.1007/BF00994018
    Niculescu-Mizil, A., Caruana, R. (2005). Predicting good probabilities with supervised learning. ICML.
    https://doi.org/10.1145/1102351.1102430
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    support: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    gamma: NDArray[np.float64]
    slopes: NDArray[np.float64]
    offsets: NDArray[np.float64]
    present: NDArray[np.int32]
    n_classes: int

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return int(self.mean.size)

    @classmethod
    def fit(
        cls,
        samples: ArrayLike,
        labels: ArrayLike,
        *,
        n_classes: int,
        seed: int = 0,
        n_jobs: int = 1,
        inverse_penalty: float = 1.0,
        kernel: str = "rbf",
        gamma: float | None = None,
        class_weight: str = "none",
        max_samples: int | None = 4000,
        calibration_folds: int = 3,
    ) -> SupportVectors:
        """Train on samples (N, ...); features are standardised.

        Parameters
        ----------
        samples, labels, n_classes, class_weight, max_samples
            See `draw_samples`; the time grows with the square of the samples.
        seed : int
            Of the draw and of the folds.
        n_jobs : int
            Processes of the calibration's folds.
        inverse_penalty : float
            Price of a sample on the wrong side (C of scikit-learn).
        kernel : {"rbf", "linear"}
            Kernel.
        gamma : float, optional
            Inverse squared width of the kernel "rbf"; 1 / (features x variance) when None.
        calibration_folds : int
            Folds whose held-out decisions the probabilities are fitted on.

        Raises
        ------
        TrainingError, ConfigError
            When samples or options are wrong.
        """
        from sklearn.calibration import CalibratedClassifierCV
        from sklearn.model_selection import StratifiedKFold
        from sklearn.svm import SVC

        one_of("kernel", kernel, KERNELS)
        number("inverse_penalty", inverse_penalty, 1e-9, 1e9)
        drawn = draw_samples(
            samples,
            labels,
            n_classes=n_classes,
            max_samples=max_samples,
            class_weight=class_weight,
            rng=np.random.default_rng(seed),
        )
        standard = Standard.of(drawn.samples)
        values = standard.apply(drawn.samples)
        width = 1.0 / (values.shape[1] * float(values.var()) or 1.0) if gamma is None else gamma
        folds = StratifiedKFold(integer("calibration_folds", calibration_folds, 2, 20), shuffle=True, random_state=seed)
        calibrated = CalibratedClassifierCV(
            SVC(C=inverse_penalty, kernel=kernel, gamma=number("gamma", width, 1e-9, 1e9)),
            method="sigmoid",
            cv=folds,
            ensemble=False,
            n_jobs=n_jobs,
        )
        try:
            calibrated.fit(values, drawn.classes, sample_weight=drawn.weights)
        except ValueError as error:
            raise ConfigError(
                f"the svm cannot be trained: {str(error).splitlines()[0]}; give more samples of each class or fewer "
                "calibration_folds"
            ) from error
        return cls.from_sklearn(calibrated, standard, n_classes)

    @classmethod
    def from_sklearn(cls, calibrated: Any, standard: Standard, n_classes: int) -> SupportVectors:
        """Take over a fitted `CalibratedClassifierCV(SVC(...), ensemble=False)` of standardised samples."""
        only = calibrated.calibrated_classifiers_[0]
        machine, sigmoids = only.estimator, only.calibrators
        support, coefficients = machine.support_vectors_, _pairwise(machine)
        linear = machine.kernel == "linear"
        if linear:
            support, coefficients = coefficients.T @ support, np.eye(coefficients.shape[1])
        return cls(
            mean=standard.mean,
            scale=standard.scale,
            support=np.ascontiguousarray(support, dtype=np.float64),
            coefficients=np.ascontiguousarray(coefficients),
            intercepts=np.array(machine.intercept_, dtype=np.float64),
            gamma=np.array([0.0 if linear else machine.gamma]),
            slopes=np.array([sigmoid.a_ for sigmoid in sigmoids], dtype=np.float64),
            offsets=np.array([sigmoid.b_ for sigmoid in sigmoids], dtype=np.float64),
            present=np.asarray(calibrated.classes_, dtype=np.int32),
            n_classes=n_classes,
        )

    def predict_proba(self, samples: ArrayLike) -> NDArray[np.float32]:
        """Probabilities (N, K) of samples (N, ...)."""
        values = as_samples(samples, self.n_features, "the svm")
        result = np.zeros((len(values), self.n_classes), dtype=np.float32)
        for start in range(0, len(values), BLOCK):
            block = (values[start : start + BLOCK] - self.mean) / self.scale
            margins = self._kernel(block) @ self.coefficients + self.intercepts
            result[start : start + BLOCK] = spread(self._shares(margins), self.present, self.n_classes)
        return result

    def _kernel(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        product = block @ self.support.T
        gamma = float(self.gamma[0])
        if gamma == 0:
            return product
        distance = (block**2).sum(axis=1)[:, None] + (self.support**2).sum(axis=1) - 2.0 * product
        return np.asarray(np.exp(-gamma * np.maximum(distance, 0.0)))

    def _shares(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (N, P) from the margins of all pairs (N, pairs)."""
        if self.present.size == 2:
            second = _sigmoid(margins[:, 0], self.slopes[0], self.offsets[0])
            return np.stack([1.0 - second, second], axis=1)
        shares = _sigmoid(_joined(margins, self.present.size), self.slopes, self.offsets)
        total = shares.sum(axis=1, keepdims=True)
        return np.where(total > 0, shares / np.where(total > 0, total, 1.0), 1.0 / self.present.size)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the machine as named arrays."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "n_classes"}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, n_features: int, n_classes: int) -> SupportVectors:
        """Rebuild it from `arrays`; `ModelError` when they do not belong together."""
        found = dict(arrays)
        n, s = len(found.get("present", ())), len(found.get("support", ()))
        pairs, sigmoids = n * (n - 1) // 2, n if n > 2 else 1
        sizes = {
            "mean": (n_features,),
            "scale": (n_features,),
            "support": (s, n_features),
            "coefficients": (s, pairs),
            "intercepts": (pairs,),
            "gamma": (1,),
            "slopes": (sigmoids,),
            "offsets": (sigmoids,),
        }
        shapes = {name: ("float64", size) for name, size in sizes.items()} | {"present": ("int32", (n,))}
        checked_arrays(found, shapes, "the svm")
        check_present(found["present"], n_classes)
        if (found["scale"] <= 0).any() or found["gamma"][0] < 0:
            raise ModelError("the svm has scales that are not positive; train the model again")
        return cls(**found, n_classes=n_classes)


def _pairwise(machine: Any) -> NDArray[np.float64]:
    """Weights of the support vectors in the margin of each pair of classes (S, pairs), from scikit-learn's table."""
    table, counts = np.asarray(machine.dual_coef_), machine.n_support_
    if len(counts) == 2:
        return np.asarray(table.T, dtype=np.float64)
    ends = np.cumsum(counts)
    own = [slice(end - count, end) for end, count in zip(ends, counts, strict=True)]
    pairs = list(combinations(range(len(counts)), 2))
    result = np.zeros((table.shape[1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        result[own[i], column] = table[j - 1, own[i]]
        result[own[j], column] = table[i, own[j]]
    return result


def _joined(margins: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Decision of each class (N, n): its votes over the pairs, ties broken by the sum of its margins."""
    votes, sums = np.zeros((len(margins), n)), np.zeros((len(margins), n))
    for column, (i, j) in enumerate(combinations(range(n), 2)):
        margin = margins[:, column]
        votes[:, i] += margin >= 0
        votes[:, j] += margin < 0
        sums[:, i] += margin
        sums[:, j] -= margin
    return np.asarray(votes + sums / (3.0 * (np.abs(sums) + 1.0)))


def _sigmoid(decision: NDArray[np.float64], slope: Any, offset: Any) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(np.clip(slope * decision + offset, -700.0, 700.0))))
