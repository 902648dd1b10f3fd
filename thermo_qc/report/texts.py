"""Standing texts of a report: what the metrics, the pictures and the kinds of folds mean, in plain words."""

from __future__ import annotations

__all__ = ["FOLDS_BY", "GLOSSARY", "LEAKAGE_HIDES", "MAPS_HELP", "SPLITS_HELP"]

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("test pixel", "A pixel of a known plate that was predicted by a model that had not seen its group in training."),
    (
        "precision",
        "Of the pixels that the model gave a class, the share that truly belong to it. Low means false calls.",
    ),
    (
        "recall",
        "Of the pixels that truly belong to a class, the share that the model gave it. Low recall means misses.",
    ),
    ("F1", "Harmonic mean of precision and recall: high only when both are."),
    (
        "IoU",
        "Intersection over union: pixels that truth and prediction share, divided by the pixels that either has. "
        "1 is a perfect outline, 0 no overlap; small holes lose much of it to one ring of pixels.",
    ),
    ("defect IoU, F1, precision, recall", "The same with all defect classes taken together as one class, defect."),
    ("balanced accuracy", "Mean of the recalls of all classes, so every class counts alike however few pixels it has."),
    (
        "accuracy",
        "Share of all pixels that are right. A model that calls everything sound scores high on it, so it never "
        "stands alone.",
    ),
    ("false calls", "Share of the sound test pixels that were called a defect."),
    ("support", "Number of true pixels of a class: how much a figure rests on."),
    (
        "found",
        "A hole counts as found when predicted defect pixels cover at least 40 % of it and its IoU with "
        "the regions that touch it is at least 0.2.",
    ),
    (
        "contrast / noise",
        "Largest noise-free temperature contrast of the hole during the recording, divided by the camera noise. "
        "At 5 or more a hole can be seen; below, a miss is what physics allows. Known for simulated recordings only.",
    ),
    ("pooled", "Computed once over the test pixels of all folds together."),
    (
        "mean ± standard deviation",
        "Over the folds, each counting alike; the spread tells how much the result depends on the recording.",
    ),
    (
        "not defined",
        "There was nothing to compute the figure from (a class without a pixel, for example); it is not zero.",
    ),
)

FOLDS_BY = {
    "acquisition": "whole acquisitions: the model that predicts a recording has seen no frame of its acquisition, "
    "though it has seen other recordings of the same plate",
    "plate": "whole plates: the model that predicts a plate has seen no recording of it",
    "condition": "heating conditions: the model that predicts a condition has never seen it",
    "defect": "defects: the model that predicts a hole has seen neither it nor the guard ring round it",
    "block": "spatial blocks: the model that predicts a block has seen neither it nor the guard ring round it",
    "depth": "depths: the model that predicts a hole has seen no hole of its depth, nor the guard ring round it",
    "random_frame": "random frames: other frames of the same pixels were in training, so these figures flatter; "
    "they exist to show the leakage gap",
    "random_pixel": "random pixels: neighbours of every test pixel were in training, so these figures flatter; "
    "they exist to show the leakage gap",
}

LEAKAGE_HIDES = (
    "Under random-pixel folds the model is tested on pixels whose immediate neighbours, in the same hole of the same "
    "recording, it was trained on, so that score hides how much worse the model does on a recording it has never "
    "seen; "
    "the difference is the leakage gap."
)

MAPS_HELP = (
    "Upper left: the stored frame. Upper right: the truth, each hole with its name. Lower left: what the model "
    "called. "
    "Lower right: where both agree and differ; a dashed ring marks a hole that counts as missed. Pixels that are not "
    "used (outside the plate or in its margin) are grey."
)

SPLITS_HELP = (
    "One row per fold, one column per recording. Orange pixels were held out and predicted, blue pixels trained the "
    "model, pale yellow pixels form the guard ring that does not train because heat mixes it with the test pixels, "
    "grey pixels are not used."
)
