"""Every example of docs/python.md runs, in order."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


@pytest.mark.parametrize("page", ["../python/README.md", "python.md"])
def test_the_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text()
    found = list(BLOCKS.finditer(text))
    assert found
    names = {}
    for block in found:
        line = text[: block.start()].count("\n") + 1
        # So that an error names its line.
        exec(compile("\n" * line + block[1], page, "exec"), names)
