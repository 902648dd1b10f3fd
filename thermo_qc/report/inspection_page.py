"""The report of an inspection: sections of one part, made from its record and its maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from thermo_qc.report.blocks import Block, Cell, Fold, Missing, Paragraph, Picture, Section, Signatures, Table
from thermo_qc.report.evaluation_blocks import pod_blocks
from thermo_qc.report.inspection_maps import PartMaps, axes_of, map_blocks
from thermo_qc.report.inspection_pictures import draw_thermograms
from thermo_qc.report.shown_blocks import shown_blocks
from thermo_qc.report.tables import fact_table, number
from thermo_qc.sequence import IGNORE_LABEL

__all__ = ["BANNERS", "part_sections", "part_title", "pod_section"]

Record = Mapping[str, Any]
BANNERS = {"accept": "ACCEPT", "reject": "REJECT", "review": "REVIEW"}
_KINDS = {"pass": "good", "fail": "bad", "uncertain": "review"}
_OUTCOMES = {"pass": "kept", "fail": "broken", "uncertain": "open"}
_MOST_ROWS = 200


def part_title(record: Record) -> str:
    """Name a part: its specimen, else the name of its result."""
    designation = str(record["procedure"].get("part", {}).get("designation") or "")
    return designation or str(record["part"]["specimen"] or record["result"])


def part_sections(record: Record, maps: PartMaps) -> list[Section]:
    """Sections of the report of one part."""
    return [
        Section(anchor="verdict", title="Verdict", blocks=_verdict(record)),
        Section(anchor="part", title="Part, procedure and equipment", blocks=_procedure(record)),
        Section(anchor="recording", title="Recording", blocks=_recording(record, maps)),
        Section(anchor="maps", title="Maps", blocks=map_blocks(record, maps)),
        Section(anchor="indications", title="Indications", blocks=_indications(record)),
        Section(anchor="limits", title="Acceptance criteria", blocks=_limits(record)),
        Section(anchor="detectability", title="What the recording could have shown", blocks=shown_blocks(record)),
        Section(anchor="pod", title="Probability of detection", blocks=pod_section(record)),
        Section(anchor="dispositions", title="Dispositions", blocks=_dispositions(record)),
        Section(anchor="provenance", title="Hashes and versions", blocks=_provenance(record)),
        Section(anchor="signatures", title="Signatures", blocks=_signatures(record)),
    ]


def _verdict(record: Record) -> list[Block]:
    verdict = record["verdict"]
    if verdict is None:
        return [
            Paragraph(
                text="No acceptance criteria were given, so there is no verdict: the standards of active thermography "
                "(EN 17119, ASTM E2582) set none. The indications below are what the model calls defects."
            )
        ]
    rows = tuple((Cell(text=str(position)), str(text)) for position, text in enumerate(verdict["reasons"], start=1))
    criteria = record["criteria"]
    source = f" ({criteria['reference']})" if criteria.get("reference") else ""
    blocks: list[Block] = [
        Paragraph(text=f"{BANNERS[verdict['word']]} by the criteria '{criteria['name']}'{source}."),
        Table(caption="Reasons, what decides first.", header=("", "reason"), rows=rows),
    ]
    if verdict["word"] == "review":
        blocks.append(
            Paragraph(text="REVIEW: an inspector has to decide, because something is uncertain or could not be seen.")
        )
    return blocks


def _procedure(record: Record) -> list[Block]:
    blocks: list[Block] = []
    blank = 0
    for section, fields in record["procedure"].items():
        rows: list[tuple[Cell | str, ...]] = []
        for name, value in fields.items():
            empty = value in (None, "")
            blank += empty
            words = name.replace("_", " ")
            rows.append((words, Cell(text="missing", kind="unknown") if empty else str(value)))
        blocks.append(Table(caption=f"{section.capitalize()}.", header=("field", "value"), rows=tuple(rows)))
    part = record["part"]
    size = part["size_mm"]
    facts = [
        ("specimen", part["specimen"]),
        ("acquisition", part["acquisition"]),
        ("nominal plate", part["plate"]),
        ("size", None if size is None else f"{size[0]:g} x {size[1]:g} mm"),
        ("thickness", None if part["thickness_mm"] is None else f"{part['thickness_mm']:g} mm"),
        ("material", None if part["material"] is None else part["material"]["name"]),
    ]
    blocks.insert(0, fact_table("The part as the recording and the nominal plate describe it.", facts))
    if blank:
        note = f"{blank} fields are blank and shown as missing; fill them in the YAML file given with --procedure."
        blocks.append(Missing(text=note))
    return blocks


def _recording(record: Record, maps: PartMaps) -> list[Block]:
    one = record["recording"]
    rate = one["frame_rate_hz"]
    facts = [
        ("file", one["name"]),
        ("format", one["format"]),
        ("camera", one["camera"]),
        ("noise of the camera", None if one["netd_k"] is None else f"{1e3 * one['netd_k']:.3g} mK"),
        ("frames", one["frames"]),
        ("frame rate", None if rate is None else f"{rate:.4g} Hz"),
        ("time axis", f"{one['first_s']:.4g} to {one['last_s']:.4g} s after the start of the heating"),
        ("heating", str(one["excitation"]).replace("_", " ")),
        ("end of the heating", None if one["heating_stop_s"] is None else f"{one['heating_stop_s']:.4g} s"),
        ("absorbed flux, as stated", None if one["flux_w_m2"] is None else f"{one['flux_w_m2']:g} W/m²"),
        ("ambient temperature", None if one["ambient_c"] is None else f"{one['ambient_c']:g} °C"),
        ("emissivity", one["emissivity"]),
        ("pixel on the plate", _length(record["map"]["pixel_pitch_mm"])),
        ("processing before the model", ", ".join(one["history"]) or "none"),
    ]
    blocks: list[Block] = [fact_table("The recording.", facts)]
    if not maps.thermograms:
        return [*blocks, Missing(text=maps.missing or "the recording's frames are not at hand.")]
    png = draw_thermograms(
        maps.thermograms,
        pixel_pitch_mm=record["map"]["pixel_pitch_mm"],
        unit=maps.frame_unit,
        inside=maps.class_map != IGNORE_LABEL,
        title="Thermograms",
    )
    caption = "Thermograms, each between the 0.5th and the 99.5th percentile of its own values on the inspected pixels."
    return [*blocks, Picture(png=png, alt="Thermograms with scales", caption=caption)]


def _length(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g} mm"


def _indications(record: Record) -> list[Block]:
    found = record["indications"]
    called = [one for one in found if not one["suspect"]]
    suspects = [one for one in found if one["suspect"]]
    if not found:
        return [Paragraph(text="The model calls no indication.")]
    when = record["map"]["frame_time_s"]
    blocks: list[Block] = [
        _indication_table(
            f"{len(called)} indications, largest first; contrast/noise in the frame at {when:.4g} s.", called, record
        )
    ]
    if suspects:
        text = f"{len(suspects)} suspect places: not called, but a defect is possible there."
        deciding = [one for one in suspects if one["may_break"]]
        blocks += [_indication_table("Suspect places that may break a limit.", deciding, record)] if deciding else []
        blocks.append(Fold(summary=text, blocks=(_indication_table(text, suspects, record),)))
    return blocks


def _indication_table(caption: str, items: Sequence[Record], record: Record) -> Table:
    _, where, unit = axes_of(record)
    words = {entry["indication"]: _disposition_text(entry) for entry in record["dispositions"]}
    header = (
        "no.", "class", f"x on the {where}, {unit}", f"y, {unit}", "diameter, mm", "from–to, mm", "area, mm²",
        "depth, mm", "from–to, mm", "probability", "contrast/noise", "limits", "disposition",
    )  # fmt: skip
    rows: list[tuple[Cell | str, ...]] = []
    for one in items[:_MOST_ROWS]:
        place = one["centroid_plate_mm"] or one["centroid_frame_mm"] or one["centroid_px"]
        kind = "bad" if one["breaks"] else "review" if one["may_break"] else "good"
        state = {"bad": "broken", "review": "may be broken", "good": "kept"}[kind]
        limits = Cell(text=state, kind=kind) if record["verdict"] is not None else "–"
        classes = " or ".join(one["possible_classes"])
        rows.append(
            (
                str(one["id"]),
                classes,
                *(_cell(value, 1) for value in place),
                _cell(one["equivalent_diameter_mm"], 1),
                _span(one["diameter_interval_mm"], 1),
                _cell(one["area_mm2"], 0),
                _cell(one["depth_mm"], 2),
                _span(one["depth_interval_mm"], 2),
                _cell(one["defect_probability"], 2),
                _cell(one["cnr"], 1),
                limits,
                words.get(one["id"], ""),
            )
        )
    if len(items) > _MOST_ROWS:
        caption = f"{caption} The first {_MOST_ROWS} of {len(items)}; the JSON and CSV files hold all."
    return Table(caption=caption, header=header, rows=tuple(rows))


def _cell(value: float | None, digits: int) -> Cell:
    text = number(value, digits, "unknown")
    return Cell(text=text, kind="unknown" if text == "unknown" else "number")


def _span(values: Sequence[float | None] | None, digits: int) -> Cell:
    if values is None:
        return Cell(text="unknown", kind="unknown")
    low, high = (f"{value:.{digits}f}" if value is not None and np.isfinite(value) else "?" for value in values)
    return Cell(text=f"{low}–{high}", kind="number")


def _limits(record: Record) -> list[Block]:
    criteria = record["criteria"]
    if criteria is None:
        return [Missing(text="no acceptance criteria were given (--criteria).")]
    rows = tuple(
        (one["scope"], one["limit"], Cell(text=_OUTCOMES[one["outcome"]], kind=_KINDS[one["outcome"]]), one["text"])
        for one in record["findings"]
    )
    rule = criteria["uncertain"]
    text = (
        f"An indication has at least the pixels with a probability of a defect from {rule['certain_from']:g} on, and "
        f"at most the connected ones from {rule['possible_from']:g} on; a class is possible from a share of "
        f"{rule['class_share']:g} on; depths are intervals of ± {rule['depth_sigmas']:g} standard deviations, or the "
        "depths of the possible classes. A limit is broken when it is broken whatever lies in these intervals, and "
        "open when it may be."
    )
    table = Table(caption=f"Criteria '{criteria['name']}'.", header=("where", "limit", "state", "found"), rows=rows)
    return [table, Paragraph(text=text)]


def pod_section(record: Record) -> list[Block]:
    """State the probability of detection that was found elsewhere, with whose models, or that there is none."""
    pod = record.get("pod")
    if pod is None:
        return [
            Missing(
                text="no probability of detection was given: neither does the procedure name a run that holds one "
                "(pod: in the YAML file of --procedure), nor do the models come from a run that was scored. How often "
                "a defect of some size is found is not known."
            )
        ]
    models, known = {str(model["sha256"]) for model in record["provenance"]["models"]}, set(pod["model_sha256"])
    source = f"From the run '{pod['name']}', SHA-256 of its figures {pod['sha256']}."
    blocks: list[Block] = [
        Paragraph(text=f"{source} It speaks for plates, set-ups and defects like those of that run.")
    ]
    if not known:
        blocks.append(Missing(text="with which models it was found is not recorded there."))
    elif not models <= known:
        blocks.append(Missing(text="it was found with other models, so it says nothing of the indications above."))
    return [*blocks, *pod_blocks(pod["curves"], pod["name"])]


def _disposition_text(entry: Record) -> str:
    stale = " (stale: the result has changed since)" if entry["stale"] else ""
    return f"{entry['word']} by {entry['by']}{stale}"


def _dispositions(record: Record) -> list[Block]:
    rows = tuple(
        (
            str(entry["indication"]),
            Cell(text=entry["word"] + (" – stale" if entry["stale"] else ""), kind="unknown" if entry["stale"] else ""),
            entry["by"],
            entry["time"],
            entry["why"],
            entry["result_sha256"][:16],
        )
        for entry in record["dispositions"]
    )
    if not rows:
        return [Paragraph(text="No inspector has stated a disposition of an indication yet.")]
    header = ("indication", "disposition", "by", "time (UTC)", "why", "result (SHA-256)")
    blocks: list[Block] = [
        Table(caption="Dispositions, oldest first; the last one of an indication counts.", header=header, rows=rows)
    ]
    if any(entry["stale"] for entry in record["dispositions"]):
        blocks.append(
            Missing(text="stale dispositions were stated on another result; the inspector has to state them anew.")
        )
    return blocks


def _provenance(record: Record) -> list[Block]:
    one = record["provenance"]
    facts: list[tuple[str, Any]] = [
        ("recording, SHA-256", record["recording"]["sha256"]),
        ("facts beside it, SHA-256", record["recording"]["facts_sha256"] or "none"),
        ("defect map, SHA-256", record["map"]["file_sha256"]),
        *((f"model {model['name']}, SHA-256", model["sha256"]) for model in one["models"]),
        *_training(one.get("training") or {}),
        ("configuration (models, options)", one["result"]["run"]),
        ("criteria, procedure, plate, place", one.get("judged_by") or record["key"]),
        ("criteria, SHA-256", one["criteria_sha256"] or "none"),
        ("procedure, SHA-256", one["procedure_sha256"] or "none"),
        *(
            (f"option {name}", value if value not in ("", {}, None) else "none")
            for name, value in one["options"].items()
        ),
        *((f"version of {name}", value) for name, value in one["versions"].items()),
        ("inspected", record["written"]),
    ]
    return [fact_table("Where every figure comes from.", facts)]


def _training(training: Record) -> list[tuple[str, Any]]:
    if not training.get("run"):
        return [("splits of the training", "not known: the model is not in its run folder")]
    name = f"{training['command']} run '{training['run']}'"
    splits = training["splits_sha256"] or "none: it was trained on all its recordings"
    return [
        (f"splits of the {name}, SHA-256", splits),
        (f"configuration of the {name}, SHA-256", training["configuration_sha256"] or "not there"),
    ]


def _signatures(record: Record) -> list[Block]:
    people = record["procedure"].get("people", {})
    return [
        Signatures(
            lines=(
                ("Inspector", str(people.get("inspector") or "")),
                ("Supervisor", str(people.get("supervisor") or "")),
                ("Customer or auditor", ""),
            )
        )
    ]
