"""Makes an INT8 model of an FP32 one, and lets it pass only if it is as good and no slower."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from runbook.measure import machine
from runbook.measure.bench import compared
from runbook.measure.crew import Hand
from runbook.measure.graphs import census, method_for, read_graph, weight
from runbook.measure.judging import answers, judged, samples_for
from runbook.measure.refusals import Refused
from runbook.measure.samples import Samples, made_up, read_samples
from runbook.measure.telling import compared_table, tell
from runbook.measure.timing import restarted

CALIBRATE = 128  # samples at most; more cost time and move ranges little
BEFORE, AFTER = "FP32", "INT8"


def quantise(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write the quantised model to `asked["model_out"]`; the report's `refused` says why it must not be used."""
    operators = census(read_graph(asked["model"]))
    method = method_for(operators) if asked["method"] == "auto" else asked["method"]
    tell(f"{method} INT8 of {asked['model']}")
    with ExitStack() as stack:
        hands = {name: stack.enter_context(Hand()) for name in (BEFORE, AFTER)}
        candidate = {"engine": "onnx", "dims": asked["dims"], "options": {"threads": asked["threads"]}}
        told = hands[BEFORE].load(BEFORE, {**candidate, "model": asked["model"]})
        everything = samples_for(asked, told)
        judges, rest = everything.part(0, asked["count"]), everything.part(asked["count"], len(everything))
        notes = _notes(asked, judges)
        if method == "static":
            calibration, note = _calibration(asked, told, judges, rest)
            notes += note
            _static(asked["model"], asked["model_out"], calibration)
        else:
            _dynamic(asked["model"], asked["model_out"])
        hands[AFTER].load(AFTER, {**candidate, "model": asked["model_out"]})
        verdicts = judged(answers(hands[BEFORE], BEFORE, judges), answers(hands[AFTER], AFTER, judges), judges.labels)
    speed, noise = _speed(asked, candidate)
    sizes = [weight(asked[name]) for name in ("model", "model_out")]
    reasons, warnings = _reasons(asked, verdicts, speed)
    tell(compared_table([speed], asked["margin"]))
    return {
        "schema": "runbook.quantize/1",
        "created": asked["created"],
        "environment": machine.fingerprint(),
        "noise": noise,
        **{name: asked[name] for name in ("model", "samples", "calibration")},
        "method": method,
        "operators": dict(sorted(operators.items())),
        "quality": verdicts,
        "speed": speed,
        "bytes": sizes,
        "notes": [*notes, *warnings],
        "refused": reasons,
    }


def _notes(asked: Mapping[str, Any], judges: Samples) -> list[str]:
    """Say what the gate can and cannot tell with these samples."""
    if judges.labels is None:
        kind = "these samples have no labels" if asked.get("samples") else "synthetic inputs, no labelled samples"
        return [f"{kind}: the gate is agreement with FP32, not accuracy"]
    one = 100 / len(judges)
    if one > asked["max_drop"]:
        share = f"one of {len(judges)} samples is {one:.2f} points, more than {asked['max_drop']:g}"
        return [f"{share}: the gate allows no net loss"]
    return []


def _calibration(
    asked: Mapping[str, Any], told: Mapping[str, Any], judges: Samples, rest: Samples
) -> tuple[Samples, list[str]]:
    """Choose what ranges are found on: what is not judged by, wherever there is such."""
    if asked.get("calibration"):
        return read_samples(Path(asked["calibration"]), told, asked["seed"]).part(0, CALIBRATE), []
    if not asked.get("samples"):
        return made_up(told, CALIBRATE, asked["seed"] + 1), [
            "calibrated on synthetic inputs: give `samples` of your own"
        ]
    if len(rest):
        return rest.part(0, CALIBRATE), []
    note = "calibrated on the very samples that it is judged by: give more of them, or `calibration`"
    return judges.part(0, CALIBRATE), [note]


class _Reader:
    """Calibration samples, one after the other, as ONNX Runtime's quantiser asks for them."""

    def __init__(self, samples: Samples) -> None:
        self._feeds = iter([samples.part(number, number + 1).feeds for number in range(len(samples))])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._feeds, None)


def _dynamic(model: str, to: str) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.onnx")
        _quietly(quantize_dynamic, _prepared(model, folder), str(made), weight_type=QuantType.QInt8)
        shutil.copyfile(made, to)


def _static(model: str, to: str, calibration: Samples) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    tell(f"calibrating on {len(calibration)} samples")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "made.onnx")
        _quietly(
            quantize_static,
            _prepared(model, folder),
            str(made),
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        shutil.copyfile(made, to)


def _prepared(model: str, folder: str) -> str:
    """Fold constants and infer shapes first: what the quantiser itself advises.

    The shapes that torch's exporter writes of weights go before that: the quantiser turns some weights about, and takes
    what is then written of them for a contradiction.
    """
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, to = str(Path(folder, "plain.onnx")), str(Path(folder, "prepared.onnx"))
    graph = onnx.load(model)
    del graph.graph.value_info[:]
    _quietly(onnx.save_model, graph, plain)
    _quietly(quant_pre_process, plain, to, skip_symbolic_shape=True)
    return to


def _quietly(function: Any, *given: Any, **named: Any) -> None:
    """Call the quantiser, without its advice on the root logger; raises Refused for what it cannot do."""
    import logging

    logging.disable(logging.WARNING)
    try:
        function(*given, **named)
    except Exception as error:  # its exceptions have no common class of their own
        reason = str(error).replace("\n", " ")[:300]
        raise Refused(f"the model cannot be quantised: {type(error).__name__}: {reason}") from error
    finally:
        logging.disable(logging.NOTSET)


def _speed(asked: Mapping[str, Any], candidate: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Time both models in paired rounds; also says how busy the machine was."""
    files = {BEFORE: asked["model"], AFTER: asked["model_out"]}

    def load(hands: Mapping[str, Hand]) -> dict[str, dict[str, Any]]:
        return {name: hand.load(name, {**candidate, "model": files[name]}) for name, hand in hands.items()}

    found = restarted(list(files), load, {**asked, "batches": [asked["batch"]]})
    before, after = (found.samples[asked["batch"]][name].times for name in files)
    noise = machine.noise(*machine.between(found.spans), 0, 0)
    return compared(BEFORE, AFTER, asked["batch"], before, after, asked["margin"], found.starts), noise


def _reasons(
    asked: Mapping[str, Any], quality: Mapping[str, Any], speed: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """Say why the model must not be used, and what is only to be warned of."""
    reasons: list[str] = []
    warnings: list[str] = []
    if quality["labelled"] and quality["drop"] > asked["max_drop"]:
        flips = quality["flips"]
        reasons.append(
            f"top-1 drops by {quality['drop']:.2f} points on {quality['samples']} samples ({flips['lost']} lost,"
            f" {flips['gained']} gained); at most {asked['max_drop']:g} are allowed"
        )
    if not quality["labelled"] and quality["agreement"] < asked["min_agreement"]:
        reasons.append(
            f"it agrees with FP32 on {quality['agreement']:.2%} only; {asked['min_agreement']:.0%} is wanted"
        )
    if speed["verdict"] == "worse":
        low, high = speed["interval"]
        text = f"INT8 is slower: {speed['ratio']:.2f} times as fast as FP32 ({low:.2f} to {high:.2f}); do not deploy it"
        (warnings if asked["on_slower"] == "warn" else reasons).append(text)
    if speed["verdict"] == "inconclusive":
        warnings.append(f"no faster as far as can be told: {speed['ratio']:.2f} times")
    return reasons, warnings
