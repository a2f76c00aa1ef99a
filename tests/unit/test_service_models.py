"""What the service knows of a model file: the hash of what was loaded, weights in other files, and what changes meanwhile."""

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from runbook.service import onnxfile
from runbook.service.classifier import Runtime, load_classifier
from runbook.service.digits import load_digits, write_model
from runbook.service.digits import main as digits_command
from runbook.service.onnxfile import read_model
from runbook.service.preprocessing import Preprocessing, from_shape
from runbook.service.refusals import Refused


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def paired(digits, tmp_path):
    """Give a model that keeps its weights in a file of its own, as exporters of large models do."""
    path = tmp_path / "model.onnx"
    onnx.save_model(
        onnx.load(digits.good), path, save_as_external_data=True, location="model.onnx.data", size_threshold=0
    )
    return path


def test_a_model_without_further_files_has_the_hash_of_its_file(digits):
    file, content = read_model(digits.good)
    assert file.sha256 == sha256(digits.good.read_bytes()) == sha256(content)
    assert file.pieces == (("good.onnx", file.sha256),)


def test_weights_in_another_file_are_hashed_too(digits, paired):
    model, same = load_classifier(paired, Runtime()), load_classifier(digits.good, Runtime())
    digests = {name: sha256((paired.parent / name).read_bytes()) for name in ("model.onnx", "model.onnx.data")}
    assert dict(model.file.pieces) == digests
    assert model.file.sha256 == sha256("".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode())
    images = load_digits()[0][:50, None]
    assert np.allclose(model.probabilities(images), same.probabilities(images), atol=1e-6)


def test_other_weights_beside_the_same_graph_are_another_model(paired):
    before = read_model(paired)[0].sha256
    data = paired.with_name("model.onnx.data")
    data.write_bytes(data.read_bytes()[::-1])
    assert read_model(paired)[0].sha256 != before


def test_weights_that_are_missing_or_lie_elsewhere_are_refused(paired, tmp_path):
    paired.with_name("model.onnx.data").unlink()
    with pytest.raises(Refused, match=r"there is no file .*model\.onnx\.data") as refused:
        load_classifier(paired, Runtime())
    assert refused.value.code == "missing"
    model = onnx.load(paired, load_external_data=False)
    for tensor in model.graph.initializer:
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value="../../etc/passwd")
    paired.write_bytes(model.SerializeToString())
    with pytest.raises(Refused, match="names weights outside its folder"):
        load_classifier(paired, Runtime())


def test_weights_that_change_while_they_are_loaded_are_refused(paired, monkeypatch):
    session = onnxruntime.InferenceSession

    def swapping(*args, **options):
        data = paired.with_name("model.onnx.data")
        data.write_bytes(bytes(data.stat().st_size))
        return session(*args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", swapping)
    with pytest.raises(Refused, match="changed while it was loaded") as refused:
        load_classifier(paired, Runtime())
    assert refused.value.code == "changed"


def test_a_file_that_is_replaced_while_it_is_loaded_is_told_by_the_hash_of_what_was_loaded(
    digits, tmp_path, monkeypatch
):
    path = tmp_path / "latest.onnx"
    path.write_bytes(digits.good.read_bytes())
    session = onnxruntime.InferenceSession

    def swapping(*args, **options):
        path.write_bytes(digits.older.read_bytes())
        return session(*args, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", swapping)
    model = load_classifier(path, Runtime())
    images = load_digits()[0][:50, None]
    assert model.file.sha256 == sha256(digits.good.read_bytes())
    assert np.allclose(model.probabilities(images), load_classifier(digits.good, Runtime()).probabilities(images))


def test_a_large_file_is_loaded_by_its_path_and_confirmed(digits, tmp_path, monkeypatch):
    """Its bytes are not held in memory a second time, and a replacement while it is loaded is found out."""
    monkeypatch.setattr(onnxfile, "AT_ONCE", 1000)
    path = tmp_path / "large.onnx"
    path.write_bytes(digits.good.read_bytes())
    assert read_model(path)[1] is None
    assert load_classifier(path, Runtime()).file.sha256 == sha256(digits.good.read_bytes())
    session = onnxruntime.InferenceSession

    def swapping(*args, **options):
        loaded = session(*args, **options)
        path.write_bytes(digits.older.read_bytes())
        return loaded

    monkeypatch.setattr(onnxruntime, "InferenceSession", swapping)
    with pytest.raises(Refused, match="changed while it was loaded"):
        load_classifier(path, Runtime())


def test_the_name_of_a_file_of_weights_is_found_wherever_reading_cuts_it(paired, monkeypatch):
    for piece in (1, 2, 5, 7, 8, 9, 64):
        monkeypatch.setattr(onnxfile, "PIECE", piece)
        assert len(read_model(paired)[0].pieces) == 2


def test_weights_within_branches_and_functions_are_found(tmp_path):
    """A tensor may sit in an attribute of a node of a branch of a graph."""
    weight = numpy_helper.from_array(np.ones((2,), np.float32), "w")
    constant = helper.make_node("Constant", [], ["c"], value=weight)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [2])])
    chosen = helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)
    yes = helper.make_tensor_value_info("yes", TensorProto.BOOL, [])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [2])
    model = helper.make_model(helper.make_graph([chosen], "g", [yes], [out]))
    inner = model.graph.node[0].attribute[0].g.node[0].attribute[0].t
    inner.ClearField("raw_data")
    inner.data_location = TensorProto.EXTERNAL
    inner.external_data.add(key="location", value="deep.bin")
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "deep.bin").write_bytes(b"12345678")
    assert [name for name, _ in read_model(path)[0].pieces] == ["m.onnx", "deep.bin"]


def written(path, *, scores=False, fixed=None):
    """Write the digits' model so that it gives scores without a softmax, or takes only batches of a fixed size."""
    made = write_model(path, hidden=8, epochs=3)
    model = onnx.load(made.path)
    if scores:
        del model.graph.node[-1]
        model.graph.node[-1].output[0] = "probabilities"
    if fixed:
        for one in (*model.graph.input, *model.graph.output):
            one.type.tensor_type.shape.dim[0].dim_value = fixed
    onnx.save_model(model, path)
    return load_classifier(path, Runtime())


def test_scores_are_put_through_softmax(tmp_path):
    images = load_digits()[0][:20, None]
    plain, scores = written(tmp_path / "a.onnx"), written(tmp_path / "b.onnx", scores=True)
    assert np.allclose(plain.probabilities(images), scores.probabilities(images), atol=1e-6)


def test_a_model_that_takes_one_at_a_time_answers_a_batch(tmp_path):
    images = load_digits()[0][:5, None]
    one, many = written(tmp_path / "a.onnx", fixed=1), written(tmp_path / "b.onnx")
    assert not one.batched
    assert np.allclose(one.probabilities(images), many.probabilities(images), atol=1e-6)


@pytest.mark.parametrize("providers", [("CUDA", "CPU"), ("CUDA",)])
def test_a_provider_that_is_not_to_be_had_is_told(digits, caplog, providers):
    """ONNX Runtime itself runs on the CPU then without a word."""
    model = load_classifier(digits.good, Runtime(providers=providers))
    if "CUDAExecutionProvider" in model.session.get_providers():
        pytest.skip("this machine has a GPU")
    assert "CUDA not to be had, the model runs on CPUExecutionProvider" in caplog.text


@pytest.mark.parametrize(
    ("shape", "layout", "mode"),
    [((1, 4, 6), "chw", "L"), ((3, 4, 6), "chw", "RGB"), ((4, 6, 3), "hwc", "RGB"), ((4, 6), "hw", "L")],
)
def test_what_images_become_follows_from_the_shape(shape, layout, mode):
    how = from_shape(shape, 1 / 255)
    assert (how.layout, how.mode, how.size) == (layout, mode, (4, 6))
    assert how.apply(Image.new("RGB", (9, 9), "white")).shape == shape
    assert np.allclose(how.apply(Image.new("RGB", (9, 9), "white")), 1)


def test_a_shape_that_says_nothing_of_images_takes_arrays_only():
    assert from_shape((64,), 1.0) is None
    assert from_shape((2, 3, 4, 5), 1.0) is None


def test_images_are_normalised_by_channel():
    how = Preprocessing(size=(1, 1), mean=(0.5, 0.25, 0), std=(0.5, 0.25, 1))
    assert np.allclose(how.apply(Image.new("RGB", (3, 3), (255, 0, 0))).ravel(), [1, -1, 0])


def test_the_same_arguments_train_the_same_model(tmp_path):
    first, again, other = (
        write_model(tmp_path / f"{name}.onnx", seed=seed, hidden=8, epochs=2, samples=200)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.path.read_bytes() == again.path.read_bytes()
    assert first.path.read_bytes() != other.path.read_bytes()


def test_a_trained_model_is_as_good_as_it_says(digits):
    model = load_classifier(digits.good, Runtime())
    said = json.loads(model.session.get_modelmeta().custom_metadata_map["accuracy"])
    images, shown = load_digits()
    held_out = len(images) // 6
    right = model.probabilities(images[-held_out:, None]).argmax(1) == shown[-held_out:]
    assert right.mean() == pytest.approx(said, abs=1e-4)
    assert said > 0.85
    older = load_classifier(digits.older, Runtime()).session.get_modelmeta().custom_metadata_map["accuracy"]
    assert said > float(older)


def test_the_command_makes_models_and_images_to_play_with(tmp_path):
    done = CliRunner().invoke(digits_command, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == ["model_good.onnx", "model_older.onnx"]
    assert len(list((tmp_path / "samples").iterdir())) == 10
    assert str(tmp_path / "export/model_good.onnx") in done.output
