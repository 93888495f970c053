#!/usr/bin/env python3
"""Makes the fonts of the browser's page: egui's own, cut down to what the page can show.

All of them together are 1.4 MB, and 0.7 MB after compression; these are less than a tenth of that. Needs fonttools and the folder
`fonts` of the crate epaint_default_fonts:

    pip install fonttools
    python3 assets/fonts/make_fonts.py ~/.cargo/registry/src/*/epaint_default_fonts-0.37.0/fonts
"""

import pathlib
import sys

from fontTools import subset

HERE = pathlib.Path(__file__).parent
SOURCES = HERE.parent.parent / "src"
# Latin with its accents, Greek, Cyrillic, and the punctuation that goes with them.
TEXT = {*range(0x20, 0x17F), *range(0x370, 0x460), *range(0x2010, 0x2027), 0x20AC, 0x2122}
# Combining signs over letters, as in R̂.
TEXT |= {0x302, 0x304}
# What egui itself writes: the choice of a theme, and marks of its widgets.
EGUI = set(map(ord, "☀🌙💻🌓⏴⏵⏶⏷✔🗙↺▶◀⏹"))


def main(folder: pathlib.Path) -> None:
    texts = [*SOURCES.rglob("*.rs"), *HERE.parent.glob("lessons/*.md")]
    used = {ord(c) for path in texts for c in path.read_text() if ord(c) > 0x7F}
    wanted = {
        "Ubuntu-Light": TEXT | used,
        "NotoEmoji-Regular": used | EGUI,
        "emoji-icon-font": used | EGUI,
    }
    for name, characters in wanted.items():
        options = subset.Options(hinting=False, notdef_outline=True, name_IDs=["*"], drop_tables=["DSIG", "TTFA", "FFTM"])
        options.layout_features = ["kern", "mark", "mkmk", "ccmp"]
        font = subset.load_font(str(folder / f"{name}.ttf"), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        if name == "Ubuntu-Light":
            # Its licence wants every change to show in the name.
            for record in font["name"].names:
                if record.nameID in (1, 3, 4, 6, 16):
                    text = record.toUnicode()
                    record.string = f"{text}-derivative-jempp" if record.nameID == 6 else f"{text} derivative jempp"
        subset.save_font(font, str(HERE / f"{name}.ttf"), options)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
