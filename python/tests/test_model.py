"""Loading, the numbers of a model, and that they are those of the program."""

import csv
import pickle
import subprocess
from pathlib import Path

import jempp
import numpy as np
import pytest


def test_every_bundled_model_is_loaded():
    assert jempp.models()[0] == "fashion"
    for name in jempp.models():
        model = jempp.load(name, device="cpu")
        assert model.name == name
        assert model.num_classes == len(model.classes) == model.logits(np.zeros((1, *model.shape))).shape[1]
        assert repr(model).startswith(f"<jempp.Model '{name}'")


def test_a_model_says_what_it_is(fashion, moons):
    assert fashion.shape == (1, 28, 28)
    assert fashion.classes[0] == "T-shirt/top"
    assert fashion.config["model"]["arch"] and fashion.config["sampler"]["kind"] == "pyld"
    assert fashion.config["seed"] == 0
    fashion.config["seed"] = 5
    assert fashion.config["seed"] == 0, "each is a dictionary of its own"
    assert fashion.device == "CPU back end"
    assert "Fashion-MNIST (JEM++)" in repr(fashion) and "images 1×28×28" in repr(fashion)
    assert "points of 2 numbers" in repr(moons)
    for name in "name shape classes num_classes config device temperature".split():
        with pytest.raises(AttributeError):
            setattr(fashion, name, None)
    with pytest.raises(TypeError):
        jempp.Model()
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(fashion)


def test_the_energy_is_minus_log_sum_exp_of_the_logits(fashion):
    x = np.random.default_rng(1).uniform(-1, 1, (7, 28, 28))
    logits = fashion.logits(x).astype(np.float64)
    assert np.allclose(fashion.energy(x), -np.log(np.exp(logits).sum(axis=1)), atol=1e-4)
    energy, gradient = fashion.energy_and_gradient(x)
    assert np.allclose(energy, fashion.energy(x), atol=1e-4)
    assert np.array_equal(gradient, fashion.gradient(x))
    for array in fashion.energy(x), fashion.logits(x), gradient:
        assert array.dtype == np.float32 and array.flags.writeable and array.flags.c_contiguous


def test_noise_is_removed_from_the_chains_of_a_model_that_was_trained_with_it():
    sampler = jempp.load("mnist-sampler")
    images = sampler.sample(num_steps=30, num_per_class=1).images
    chains = sampler.sample(num_steps=30, num_per_class=1, denoise_step=0.0).images
    assert np.allclose(sampler.denoise(chains), images, atol=1e-4)
    assert images.shape == chains.shape and np.abs(images).max() <= 1
    roughness = lambda array: np.abs(np.diff(array, axis=-1)).mean()
    assert roughness(images) < 0.75 * roughness(chains)
    with pytest.raises(jempp.Error, match="denoise_step is 0"):
        jempp.load("mnist").denoise(chains)


def test_probabilities_are_the_softmax_of_calibrated_logits(fashion, moons):
    assert moons.temperature is None or moons.temperature > 0
    for model in fashion, moons:
        x = np.random.default_rng(1).uniform(-1, 1, (7, *model.shape))
        logits = model.logits(x).astype(np.float64) / (model.temperature or 1.0)
        expected = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        assert np.allclose(model.probabilities(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["moons", "fashion", "cifar"])
def test_the_gradient_is_that_of_the_energy(request, name):
    model = request.getfixturevalue(name)
    random = np.random.default_rng(2)
    x = random.uniform(-1, 1, (1, *model.shape))
    gradient = model.gradient(x).astype(np.float64)
    direction = random.normal(size=x.shape)
    direction /= np.linalg.norm(direction)
    step = 1e-2
    ends = model.energy(np.concatenate([x + step * direction, x - step * direction]))
    slope = (float(ends[0]) - float(ends[1])) / (2 * step)
    assert slope == pytest.approx((gradient * direction).sum(), rel=0.02, abs=0.02)


def test_more_images_than_fit_at_once_give_what_each_gives(fashion):
    x = np.random.default_rng(3).uniform(-1, 1, (600, 28, 28)).astype(np.float32)
    whole, parts = fashion.energy(x), [fashion.energy(x[i : i + 100]) for i in range(0, 600, 100)]
    assert np.allclose(whole, np.concatenate(parts), atol=1e-4)
    order = np.random.default_rng(4).permutation(600)
    assert np.allclose(fashion.energy(x[order]), whole[order], atol=1e-4)


def test_the_program_finds_the_same_chains(program, tmp_path):
    for name, options, keywords in [
        ("two-moons", [], {}),
        ("fashion", ["--class", "3", "--class", "8"], {"labels": [3, 8]}),
        ("two-moons", ["--conditional", "--start", "uniform"], {"conditional": True, "start": "uniform"}),
        (
            "two-moons",
            ["--sampler", "mala", "--set", "sampler.step_size=0.005", "--set", "sampler.noise_std=0.1"],
            {"kind": "mala", "step_size": 0.005, "noise_std": 0.1},
        ),
    ]:
        out = tmp_path / f"{name}-{len(options)}-{len(keywords)}"
        command = [program, "sample", "--model", name, "--device", "cpu", "--seed", "7"]
        command += ["--steps", "12", "--per-class", "4", *options, "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        with open(out / "traces.csv") as file:
            rows = list(csv.DictReader(file))
        model = jempp.load(name, device="cpu")
        found = model.sample(num_steps=12, num_per_class=4, seed=7, traces=True, **keywords)
        assert len(rows) == found.traces["energy"].size
        for column, trace in found.traces.items():
            text = [row[column] for row in rows]
            expected = np.array([np.float32(cell or "nan") for cell in text])
            assert np.array_equal(expected.reshape(trace.shape), trace, equal_nan=True), column
        assert [int(row["class"]) for row in rows[: len(found)]] == found.labels.tolist()


def test_a_run_folder_and_its_file_are_loaded(program, tmp_path):
    run = tmp_path / "first"
    command = [program, "train", "--preset", "toy-two-moons", "--device", "cpu", "--out", str(run)]
    command += ["--set", "data.num_points=256", "--set", "training.epochs=1"]
    subprocess.run(command, check=True, capture_output=True)
    file = run / "checkpoint.safetensors"
    models = [jempp.load(path, "cpu") for path in (run, str(run), file)]
    assert [model.name for model in models] == ["first"] * 3
    x = np.zeros((1, 2))
    assert len({float(model.energy(x)[0]) for model in models}) == 1
    assert models[0].sample(start="buffer", num_steps=0).images.shape == (20, 2)
    with pytest.raises(jempp.ModelError, match="checkpoint"):
        jempp.load(run / "samples", "cpu")


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    with pytest.raises(jempp.ModelError, match="did you mean `fashion`.*two-moons"):
        jempp.load("fashoin", "cpu")
    with pytest.raises(jempp.ModelError, match="no file or folder runs/first;.*fashion, fashion-sampler, mnist"):
        jempp.load("runs/first", "cpu")
    for address in "hf:ada/letters", "https://host.example/letters.safetensors":
        with pytest.raises(jempp.ModelError, match=f"`jempp fetch-model {address}` downloads"):
            jempp.load(address, "cpu")
    with pytest.raises(jempp.ModelError, match="is a int"):
        jempp.load(5, "cpu")
    with pytest.raises(jempp.ModelError, match="is a NoneType"):
        jempp.load(None, "cpu")
    text = tmp_path / "notes.txt"
    text.write_text("no model")
    for path in text, tmp_path:
        with pytest.raises(jempp.ModelError):
            jempp.load(path, "cpu")
    pytorch = tmp_path / "last_ckpt.pt"
    pytorch.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(jempp.ModelError):
        jempp.load(pytorch, "cpu")
    # A bundled name is the bundled model, whatever lies in the folder.
    monkeypatch.chdir(tmp_path)
    Path("fashion").write_text("no model")
    assert jempp.load("fashion", "cpu").name == "fashion"
    for path in "./fashion", Path("fashion"):
        with pytest.raises(jempp.ModelError):
            jempp.load(path, "cpu")


def test_a_cut_or_changed_file_is_refused(tmp_path):
    source = Path(__file__).parents[2] / "assets" / "two-moons.safetensors"
    whole = source.read_bytes()
    copy = tmp_path / "moons.safetensors"
    copy.write_bytes(whole)
    assert jempp.load(copy, "cpu").name == "moons.safetensors"
    for broken in whole[:-1], whole[: len(whole) // 2], b"", whole[:-9] + b"\xff" * 9:
        copy.write_bytes(broken)
        with pytest.raises(jempp.ModelError):
            jempp.load(copy, "cpu")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(jempp.DeviceError, match="no such adapter: `rtx`.*cpu"):
        jempp.load("two-moons", device="rtx")
    with pytest.raises(jempp.DeviceError, match="no such adapter: `99`"):
        jempp.load("two-moons", device=99)
    with pytest.raises(jempp.DeviceError, match="is a list"):
        jempp.load("two-moons", device=[0])


def test_an_adapter_finds_what_the_cpu_finds(adapter, fashion):
    model = jempp.load("fashion", device=adapter)
    assert "CPU back end" not in model.device
    x = np.random.default_rng(5).uniform(-1, 1, (4, 28, 28))
    for ours, theirs in zip(model.energy_and_gradient(x), fashion.energy_and_gradient(x)):
        assert np.allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    assert np.allclose(model.probabilities(x), fashion.probabilities(x), atol=1e-3)
    found, expected = (m.sample(num_steps=2, num_per_class=1) for m in (model, fashion))
    assert np.allclose(found.images, expected.images, atol=1e-3)
    # Another model on it takes the same device.
    assert jempp.load("two-moons", device=adapter).device == model.device
