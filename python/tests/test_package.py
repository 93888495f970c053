"""The package: its version, its types, and that both say the same."""

import ast
import re
import sys
from importlib import metadata, resources
from pathlib import Path

import jempp
import pytest

STUB = ast.parse((resources.files("jempp") / "_jempp.pyi").read_text())


def methods(name):
    (found,) = [node for node in STUB.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {node.name: node for node in found.body if isinstance(node, ast.FunctionDef)}


def test_the_version_is_that_of_the_program():
    manifest = (Path(__file__).parents[2] / "Cargo.toml").read_text()
    version = re.search(r'^version = "(.*)"', manifest, re.M)[1]
    assert jempp.__version__ == metadata.version("jempp") == version


def test_types_and_licences_travel_with_the_wheel():
    assert (resources.files("jempp") / "py.typed").is_file()
    names = {path.name for path in metadata.files("jempp")}
    assert {"LICENSE-MIT", "LICENSE-APACHE", "_jempp.pyi"} <= names


def test_the_stubs_name_what_is_there():
    for cls in jempp.Model, jempp.Samples:
        public = {name for name in vars(cls) if not name.startswith("_")}
        assert {name for name in methods(cls.__name__) if not name.startswith("_")} == public
        for name in public:
            assert getattr(cls, name).__doc__, f"{name} has no text"
    functions = {node.name for node in STUB.body if isinstance(node, ast.FunctionDef)}
    assert functions == {"load", "models", "devices"}
    assert all(getattr(jempp, name).__doc__ for name in jempp.__all__ if name != "__version__")


def test_the_stubs_name_every_keyword_of_sample(moons):
    with pytest.raises(jempp.ConfigError) as error:
        moons.sample(x=1)
    known = str(error.value).split("There are: ")[1].split(", ")
    keywords = [arg.arg for arg in methods("Model")["sample"].args.kwonlyargs]
    assert sorted(known) == sorted(keywords)


def test_the_wheel_is_for_every_python():
    wheel = metadata.distribution("jempp").read_text("WHEEL")
    assert re.search(r"^Tag: cp310-abi3-", wheel, re.M), wheel
    assert sys.version_info >= (3, 10)
