"""Other threads run while a model computes; Ctrl-C stops it; a fork is told that it cannot compute."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jempp
import numpy as np
import pytest


def ticks_during(work):
    """How often another thread of Python came to run during a call, and how long the call took."""
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.002)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    work()
    end = time.perf_counter()
    done.set()
    thread.join()
    return sum(begin < at < end for at in ticks), end - begin


@pytest.mark.parametrize("call", ["energy", "logits", "probabilities", "gradient", "sample"])
def test_other_threads_run_meanwhile(fashion, call):
    if call == "sample":
        work = lambda: fashion.sample(num_per_class=5, num_steps=20)
    else:
        x = np.zeros((2000, 28, 28), np.float32)
        work = lambda: getattr(fashion, call)(x)
    ticks, secs = ticks_during(work)
    assert secs > 0.05, "too short to tell"
    # With the lock held there is none at all.
    assert ticks >= min(10, secs / 0.02), (ticks, secs)


@pytest.mark.parametrize("device", ["cpu", "adapter"])
def test_threads_may_share_a_model(request, device):
    device = request.getfixturevalue("adapter") if device == "adapter" else device
    model = jempp.load("two-moons", device=device)
    x = [np.random.default_rng(seed).uniform(-1, 1, (300, 2)) for seed in range(4)]

    def work(index):
        samples = model.sample(num_steps=10, num_per_class=20, seed=index)
        return [model.energy(x[index]), model.gradient(x[index]), model.logits(x[index]), samples.images]

    alone = [work(index) for index in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(work, [0, 1, 2, 3] * 3))
    for index, found in enumerate(together):
        for ours, expected in zip(found, alone[index % 4]):
            assert np.array_equal(ours, expected)


def test_a_model_may_be_loaded_in_one_thread_and_used_in_another(adapter):
    with ThreadPoolExecutor(1) as pool:
        model = pool.submit(jempp.load, "two-moons", adapter).result()
    assert np.isfinite(model.energy(np.zeros((3, 2)))).all()


def run(code, *, interrupt_after=None):
    """Runs Python; sends Ctrl-C some time after it printed its first line. Gives what it printed and the seconds from
    then on."""
    # A shell that starts something in the background makes it ignore Ctrl-C, and so all that it starts.
    listens = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", listens + textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = process.stdout.readline()
        if interrupt_after is not None:
            time.sleep(interrupt_after)
            process.send_signal(signal.SIGINT)
        begin = time.perf_counter()
        out, err = process.communicate(timeout=60)
        return first + out, err, time.perf_counter() - begin
    finally:
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to a single process")
@pytest.mark.parametrize(
    "work",
    [
        "model.sample(num_steps=1_000_000)",
        "model.sample(num_steps=1_000_000, traces=True)",
        "model.energy(np.zeros((400_000, 28, 28), np.float32))",
        "model.gradient(np.zeros((400_000, 28, 28), np.float32))",
    ],
)
def test_ctrl_c_stops_a_long_call(work):
    out, err, secs = run(
        f"""
        import jempp, numpy as np
        model = jempp.load("fashion", device="cpu")
        print("ready", flush=True)
        try:
            {work}
        except KeyboardInterrupt:
            print("stopped")
        # And the model is as good as before.
        print(model.energy(np.zeros((1, 28, 28))).shape)
        """,
        interrupt_after=1.0,
    )
    assert out.split("\n")[:3] == ["ready", "stopped", "(1,)"], (out, err)
    assert secs < 5, "the machine may be busy, but the call would take minutes"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_is_told_that_it_cannot_compute():
    out, err, _ = run(
        """
        import os, jempp, warnings
        warnings.simplefilter("ignore")
        model = jempp.load("two-moons", device="cpu")
        print("ready", flush=True)
        if os.fork() == 0:
            try:
                model.energy([[0.0, 0.0]])
            except jempp.Error as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        print(model.energy([[0.0, 0.0]]).shape)
        """
    )
    assert "spawn" in out and out.endswith("(1,)\n"), (out, err)
