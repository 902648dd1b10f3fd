"""Classical classifiers on curves, on coefficients of a polynomial, or on the features of a trained network."""

from thermo_qc.models.classical.boosting import GradientBoosting
from thermo_qc.models.classical.build import (
    CLASSIFIERS,
    Classifier,
    check_classifier,
    fit_classifier,
    load_classifier,
)
from thermo_qc.models.classical.encoder import Encoder, headless
from thermo_qc.models.classical.linear import LogisticRegression
from thermo_qc.models.classical.model import FEATURES, Classical, Features
from thermo_qc.models.classical.svm import SupportVectors
from thermo_qc.models.classical.threshold import Threshold

__all__ = [
    "CLASSIFIERS",
    "FEATURES",
    "Classical",
    "Classifier",
    "Encoder",
    "Features",
    "GradientBoosting",
    "LogisticRegression",
    "SupportVectors",
    "Threshold",
    "check_classifier",
    "fit_classifier",
    "headless",
    "load_classifier",
]
