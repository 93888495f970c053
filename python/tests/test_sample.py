"""The keywords of `sample`, and what it gives."""

import re

import jempp
import numpy as np
import pytest


def test_samples_are_what_the_model_makes_of_them(fashion):
    samples = fashion.sample(num_per_class=2, num_steps=3)
    assert samples.images.shape == (20, 1, 28, 28)
    assert samples.labels.tolist() == [label for label in range(10) for _ in range(2)]
    assert np.allclose(samples.energies, fashion.energy(samples.images), atol=1e-3)
    assert np.allclose(samples.probabilities, fashion.probabilities(samples.images), atol=1e-5)
    assert samples.traces is None and len(samples) == 20
    assert np.abs(samples.images).max() <= 1
    assert np.asarray(samples) is samples.images
    assert np.array(samples, dtype=np.float64).dtype == np.float64
    assert np.array_equal(fashion.energy(samples), fashion.energy(samples.images))
    assert re.match(r"<jempp.Samples: 20 of shape \(1, 28, 28\), energies from -?\d", repr(samples))


def test_a_seed_decides_the_samples(moons):
    of = lambda **keywords: moons.sample(num_per_class=3, num_steps=4, **keywords).images
    assert np.array_equal(of(seed=1), of(seed=1))
    assert np.array_equal(of(), of(seed=0))
    assert not np.array_equal(of(seed=1), of(seed=2))


def test_defaults_are_those_of_the_program(moons):
    samples = moons.sample(traces=True)
    assert samples.images.shape == (20, 2)
    assert samples.traces["energy"].shape == (101, 20)


def test_traces_lead_from_the_starts_to_the_ends(moons):
    keywords = {"num_per_class": 3, "seed": 4}
    samples = moons.sample(num_steps=6, traces=True, **keywords)
    assert sorted(samples.traces) == ["clamp_rate", "energy", "gradient_norm", "saturation"]
    assert np.array_equal(samples.traces["energy"][-1], samples.energies)
    start = moons.sample(num_steps=0, **keywords)
    assert np.array_equal(samples.traces["energy"][0], start.energies)
    gradient = moons.gradient(start.images)
    assert np.allclose(samples.traces["gradient_norm"][0], np.linalg.norm(gradient, axis=1), rtol=1e-3)
    mala = moons.sample(num_steps=6, traces=True, kind="mala", step_size=0.005, noise_std=0.1)
    accepted = mala.traces["acceptance_probability"]
    assert accepted.shape == (7, 20) and np.isnan(accepted[-1]).all()
    assert ((accepted[:-1] >= 0) & (accepted[:-1] <= 1)).all()
    assert "with traces" in repr(mala)


def test_every_key_of_the_sampler_is_followed(moons):
    base = {"num_steps": 5, "num_per_class": 4, "kind": "proximal-sgld", "step_size": 0.1, "noise_std": 0.05}
    usual = moons.sample(**base).images
    for change in [
        {"kind": "sgld"},
        {"kind": "normalized-gradient"},
        {"step_size": 0.2},
        {"noise_std": 0.1},
        {"proximal_radius": 0.01},
        {"step_schedule": "cosine"},
        {"step_schedule": "linear", "final_step_factor": 0.5},
        {"conditional": True},
        {"start": "uniform"},
        {"num_steps": 6},
        {"seed": 1},
    ]:
        assert not np.array_equal(moons.sample(**base | change).images, usual), change
    pyld = {"num_steps": 5, "kind": "pyld", "num_inner_steps": 2, "inner_step_size": 0.1}
    usual = moons.sample(**pyld).images
    assert not np.array_equal(moons.sample(**pyld | {"num_inner_steps": 3}).images, usual)
    assert not np.array_equal(moons.sample(**pyld | {"inner_step_size": 0.2}).images, usual)
    # What only divides the work changes nothing else.
    assert np.allclose(moons.sample(**pyld, micro_batch=3, max_memory_mib=4096).images, usual, atol=1e-5)
    assert moons.config["sampler"]["kind"] == "pyld", "the model stays as it was"


def test_numbers_of_numpy_are_numbers(moons):
    base = dict(kind="sgld", num_steps=2, num_per_class=1)
    expected = moons.sample(**base, step_size=0.5, seed=3, traces=True)
    found = moons.sample(
        **base | {"num_steps": np.int32(2)},
        step_size=np.float32(0.5),
        seed=np.array(3),
        traces=np.bool_(True),
    )
    assert np.array_equal(found.images, expected.images)
    assert np.array_equal(moons.sample(**base, step_size=1).images, moons.sample(**base, step_size=1.0).images)
    # None leaves a key as it is, as in the type stubs.
    assert np.array_equal(moons.sample(num_steps=2, kind=None).images, moons.sample(num_steps=2).images)


def test_labels_are_classes_by_number_or_name(fashion):
    by_number = fashion.sample(labels=[7, 0], num_steps=1)
    by_name = fashion.sample(labels=["Sneaker", "T-shirt/top"], num_steps=1)
    by_array = fashion.sample(labels=np.array([7, 0], np.uint8), num_steps=1)
    assert by_number.labels.tolist() == [7, 0] and by_number.labels.dtype == np.int64
    assert np.array_equal(by_number.images, by_name.images)
    assert np.array_equal(by_number.images, by_array.images)
    assert fashion.sample(labels=[7, 0], num_per_class=3, num_steps=0).labels.tolist() == [7] * 3 + [0] * 3


def test_chains_start_from_given_images(fashion, moons):
    x = np.random.default_rng(0).uniform(-1, 1, (5, 1, 28, 28)).astype(np.float32)
    for start in x, x[:, 0], x.astype(np.float64), np.moveaxis(x, 1, 3):
        samples = fashion.sample(start=start, num_steps=0)
        assert np.array_equal(samples.images, x)
        assert samples.labels is None
        assert np.allclose(samples.energies, fashion.energy(x), atol=1e-3)
    moved = fashion.sample(start=x, num_steps=5)
    assert (moved.energies < fashion.energy(x)).all()
    shared = fashion.sample(start=x[:2], chains_per_start=3, num_steps=0)
    assert np.array_equal(shared.images, np.repeat(x[:2], 3, axis=0))
    labelled = fashion.sample(start=x, labels=[1, 2, 3, 4, 5], conditional=True, num_steps=0)
    assert labelled.labels.tolist() == [1, 2, 3, 4, 5]
    assert np.allclose(labelled.energies, -fashion.logits(x)[range(5), [1, 2, 3, 4, 5]], atol=1e-3)
    # From the ends on.
    first = moons.sample(num_steps=3)
    assert np.array_equal(moons.sample(start=first, num_steps=0).images, first.images)


def test_chains_start_from_a_picture_and_from_data(fashion, tmp_path):
    with pytest.raises(jempp.ConfigError, match="no such picture"):
        fashion.sample(start=tmp_path / "missing.png")
    data = fashion.sample(start="data", num_steps=0, labels=[0, 1])
    assert (fashion.probabilities(data.images).argmax(axis=1) == [0, 1]).any()


@pytest.mark.parametrize(
    "keywords, said",
    [
        ({"stepsize": 0.1}, "no keyword `stepsize`; did you mean `step_size`.*num_steps.*micro_batch"),
        ({"sampler.step_size": 0.1}, "no keyword"),
        ({"learning_rate": 0.1}, "no keyword"),
        ({"num_steps": -1}, "`num_steps` cannot be -1: it must be a whole number from 0 to 1000000"),
        ({"num_steps": 1.5}, "cannot be 1.5"),
        ({"num_steps": 10**30}, "cannot be 1000"),
        ({"num_steps": "ten"}, "cannot be 'ten'"),
        ({"num_steps": True}, "cannot be True"),
        ({"num_per_class": 0}, "from 1 to"),
        ({"num_per_class": 10**6}, "2000000 chains; at most 1000000"),
        ({"chains_per_start": 0}, "from 1 to"),
        ({"chains_per_start": 3}, "multiple"),
        ({"seed": -1}, "`seed`"),
        ({"seed": 2**63}, "`seed`"),
        ({"traces": "yes"}, "`traces` cannot be 'yes': it must be True or False"),
        ({"traces": True, "num_steps": 10**6, "num_per_class": 10**4}, "GiB"),
        ({"kind": "hmc"}, "`sampler.kind` cannot be"),
        ({"kind": 3}, "`sampler.kind` cannot be 3"),
        ({"kind": "sgld", "step_size": -1.0}, "out of range; it must lie in"),
        ({"kind": "sgld", "step_size": float("nan")}, "`sampler.step_size`"),
        ({"kind": "sgld", "step_size": float("inf")}, "`sampler.step_size`"),
        ({"kind": "sgld", "step_size": [0.1]}, "`step_size` cannot be"),
        ({"kind": "sgld", "step_size": 1 + 2j}, "`step_size` cannot be"),
        ({"kind": "pyld", "step_size": 0.1}, "not used by the sampler pyld.*inner_step_size"),
        ({"final_step_factor": 0.5}, "not used: sampler.step_schedule is constant"),
        ({"kind": "mala", "noise_std": 0.0}, "mala"),
        ({"norm": "batch"}, "norm"),
        ({"split": 100}, "split"),
        ({"dir": "/tmp"}, "`dir` is not used"),
        ({"labels": []}, "`labels` cannot be"),
        ({"labels": 1}, "`labels` cannot be 1"),
        ({"labels": "0"}, "`labels` cannot be '0'"),
        ({"labels": [2]}, "has 2, which is no class.*0 .*1 "),
        ({"labels": [-1]}, "has -1"),
        ({"labels": [0.5]}, "has 0.5"),
        ({"labels": [True]}, "has True"),
        ({"labels": ["cat"]}, "has 'cat'"),
        ({"labels": [[0]]}, r"has \[0\]"),
        ({"start": "nowhere"}, "start='nowhere'.*class-centers, uniform, data, buffer"),
        ({"start": "buffer"}, "packed model"),
        ({"start": np.zeros((0, 2))}, "no image"),
        ({"start": np.zeros((3, 2)), "num_per_class": 2}, "needs `labels`"),
        ({"start": np.zeros((3, 2)), "labels": [0, 1]}, "3 images, and there are 2 starts"),
        ({"start": np.zeros((3, 2)), "conditional": True}, "conditional"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_keyword_that_cannot_be_used_says_what_would_do(moons, keywords, said):
    with pytest.raises((jempp.ConfigError, jempp.ModelError), match=said):
        moons.sample(**keywords)


def test_starts_are_checked_as_images_are(moons, fashion):
    with pytest.raises(jempp.ShapeError, match=r"start has the shape \(3,\)"):
        moons.sample(start=np.zeros(3))
    with pytest.raises(jempp.InputError, match=r"start\[1, 0\] is NaN"):
        moons.sample(start=[[0.0, 0.0], [np.nan, 0.0]])
    with pytest.raises(jempp.DtypeError, match="start has the type uint8"):
        fashion.sample(start=np.zeros((1, 28, 28), np.uint8))
    with pytest.raises(jempp.DtypeError, match="start is a dict"):
        fashion.sample(start={})


def test_positions_are_no_keywords(moons):
    with pytest.raises(TypeError):
        moons.sample(10)


def test_chains_that_diverge_are_an_error(moons):
    with pytest.raises(jempp.Error, match="diverged.*smaller sampler.step_size"):
        moons.sample(kind="sgld", step_size=1e6, start=np.full((4, 2), 3e37), num_steps=20)


def test_chains_that_need_more_memory_than_allowed_are_refused(fashion):
    with pytest.raises(jempp.ConfigError, match="max_memory_mib"):
        fashion.sample(num_per_class=50_000, max_memory_mib=100)
