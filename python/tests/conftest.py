import os
import shutil
from pathlib import Path

import jempp
import pytest


@pytest.fixture(scope="session")
def moons():
    return jempp.load("two-moons", device="cpu")


@pytest.fixture(scope="session")
def fashion():
    return jempp.load("fashion", device="cpu")


@pytest.fixture(scope="session")
def cifar():
    return jempp.load("cifar10-jpeg", device="cpu")


@pytest.fixture(scope="session")
def adapter():
    """The index of a graphics adapter; software does."""
    found = jempp.devices()
    if not found:
        assert "REQUIRE_GPU" not in os.environ, "REQUIRE_GPU is set, and there is no adapter"
        pytest.skip("no graphics adapter")
    return found[0]["index"]


@pytest.fixture(scope="session")
def program():
    """The program `jempp`, to compare with: JEMPP_BIN, or where cargo puts it."""
    named = os.environ.get("JEMPP_BIN")
    target = os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[2] / "target")
    path = named or shutil.which("jempp", path=str(Path(target) / "release"))
    if path is None:
        pytest.skip("no program to compare with: set JEMPP_BIN")
    return path
