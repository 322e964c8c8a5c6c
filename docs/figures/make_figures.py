# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Makes the figures of the documentation. Requires the extras `plots` and `page`, playwright and Chromium.

    python docs/figures/make_figures.py

`page.png` is the page of `mu2slam serve --page` with a recording and its translation; `recording.png` is a recording
of `examples/` with the words that the shipped checkpoint recognises in it; `from_input_to_text.svg` and
`from_record_to_batch.svg` are drawn from the boxes and arrows below.
"""

import io
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent
RECORDING = "examples/es/vm-enter-num-to-call.opus"
LANGUAGE = "es"
_COLORS = {"data": "#dbe9f6", "step": "#fdf2d0", "model": "#dcefdc", "output": "#f6dfdf"}
_LINE_HEIGHT = 17


@dataclass(frozen=True)
class Box:
    """A box with lines of text; the first is bold. Places and sizes are in pixels."""

    kind: str
    left: int
    top: int
    width: int
    height: int
    lines: tuple[str, ...]


# (from, to): places in the list of boxes; the arrow runs from the right edge to the left edge, or down.
_INPUT_TO_TEXT = (
    (
        Box("data", 10, 20, 130, 60, ("recording", "at any rate")),
        Box("data", 10, 190, 130, 60, ("text", "any written form")),
        Box("step", 180, 10, 170, 80, ("feature extractor", "log-mel, 80 bins,", "100 frames a second")),
        Box("step", 180, 180, 170, 80, ("tokenizer", "characters or pieces,", "one id space", "with speech ids")),
        Box("model", 390, 10, 150, 80, ("convolutions", "25 frames a second")),
        Box("model", 390, 180, 150, 80, ("embedding", "of text and", "speech ids")),
        Box(
            "model",
            575,
            70,
            160,
            130,
            ("Conformer encoder", "one for speech and", "text; given the source", "language, or none"),
        ),
        Box("model", 770, 10, 170, 60, ("CTC head", "one id per frame")),
        Box("model", 770, 105, 170, 60, ("decoder", "given target language", "and modality")),
        Box("model", 770, 200, 170, 60, ("language head", "source language")),
        Box("output", 980, 10, 150, 60, ("word times,", "confidences")),
        Box("output", 980, 105, 150, 60, ("transcript or", "translation")),
        Box("output", 980, 200, 150, 60, ("language", "and probability")),
    ),
    ((0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (6, 7), (6, 8), (6, 9), (7, 10), (8, 11), (9, 12), (7, 8)),
)
_RECORD_TO_BATCH = (
    (
        Box("data", 10, 20, 170, 80, ("record", "one utterance or", "sentence, validated", "SpeechTextRecord")),
        Box("data", 260, 20, 170, 80, ("example", "a source with its", "targets and tasks", "Example")),
        Box("data", 510, 20, 170, 80, ("draw", "what is random about", "it this time", "DrawnExample")),
        Box("data", 760, 20, 170, 80, ("item", "the draw with its", "waveform", "Item")),
        Box("data", 760, 190, 170, 80, ("view", "segments, masks;", "Mu2SLAM pre-training", "View")),
        Box("data", 510, 190, 170, 80, ("batch", "tensors by input", "names of the model", "dict")),
        Box("model", 260, 190, 170, 80, ("objective", "forward pass, counts,", "sums of each loss", "Objective")),
        Box("output", 10, 190, 170, 80, ("update", "sum of weight times", "sum over count", "MultitaskTrainer")),
    ),
    ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7)),
)
_RECORD_LABELS = ("builder", "sampler", "data set", "view builder", "collator", "", "")


def draw(boxes: tuple[Box, ...], arrows: tuple[tuple[int, int], ...], labels: tuple[str, ...], title: str) -> str:
    """An SVG of boxes and arrows, with a label over each arrow."""
    width = max(box.left + box.width for box in boxes) + 10
    height = max(box.top + box.height for box in boxes) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#555"/></marker></defs>',
    ]
    for (start, end), label in zip(arrows, labels, strict=True):
        parts += _draw_arrow(boxes[start], boxes[end], label)
    for box in boxes:
        parts += _draw_box(box)
    return "\n".join([*parts, "</svg>\n"])


def _draw_arrow(start: Box, end: Box, label: str) -> list[str]:
    """A straight line between the nearest edges."""
    first, last = start.top + start.height // 2, end.top + end.height // 2
    if start.left + start.width <= end.left:
        points = (start.left + start.width, first, end.left, last)
    elif end.left + end.width <= start.left:
        points = (start.left, first, end.left + end.width, last)
    else:
        middle = start.left + start.width // 2
        points = (middle, start.top + start.height, middle, end.top)
    x1, y1, x2, y2 = points
    line = f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#555" stroke-width="1.5" marker-end="url(#head)"/>'
    if not label:
        return [line]
    anchor, x, y = ("middle", (x1 + x2) // 2, (y1 + y2) // 2 - 7) if x1 != x2 else ("start", x1 + 8, (y1 + y2) // 2)
    return [line, f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="11" fill="#333">{escape(label)}</text>']


def _draw_box(box: Box) -> list[str]:
    """A rectangle and its lines of text, centred."""
    parts = [
        f'<rect x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}" rx="6" '
        f'fill="{_COLORS[box.kind]}" stroke="#777"/>'
    ]
    middle = box.left + box.width // 2
    top = box.top + (box.height - _LINE_HEIGHT * len(box.lines)) // 2 + 13
    for number, line in enumerate(box.lines):
        weight = ' font-weight="bold"' if number == 0 else ""
        y = top + number * _LINE_HEIGHT
        parts.append(f'<text x="{middle}" y="{y}" text-anchor="middle"{weight}>{escape(line)}</text>')
    return parts


def make_drawings() -> dict[str, str]:
    """File name -> SVG."""
    boxes, arrows = _INPUT_TO_TEXT
    title = "From a recording or a text to a transcript or a translation"
    drawings = {"from_input_to_text.svg": draw(boxes, arrows, ("",) * len(arrows), title)}
    boxes, arrows = _RECORD_TO_BATCH
    drawings["from_record_to_batch.svg"] = draw(boxes, arrows, _RECORD_LABELS, "From a record to an update")
    return drawings


def make_recording_picture(path: Path) -> None:
    """The recording with its recognised words, as a PNG of a few colours."""
    from PIL import Image

    from mu2slam_hf import TranscriptionOptions, load_default, transcribe_recordings
    from mu2slam_hf.data.audio import SAMPLING_RATE, load_audio
    from mu2slam_hf.inference.formats.plots import plot_recording

    root = FOLDER.parent.parent
    model, processor = load_default()
    waveform = load_audio(root / RECORDING)
    options = TranscriptionOptions(source_lang=LANGUAGE, timestamps="word")
    (transcript,) = transcribe_recordings(model, processor, [waveform], options)
    (figure,) = plot_recording(waveform, SAMPLING_RATE, transcript.words, title=RECORDING)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=110)
    Image.open(written).convert("RGB").quantize(128).save(path, optimize=True)


def make_page_picture(path: Path) -> None:
    """The page with a recording, its words and its translation, as a PNG of a few colours."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "mu2slam_hf", "serve", "--page", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = [server.stdout.readline().split()[-1] for _ in range(2)][1]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 900, "height": 900})
            page.goto(address)
            page.locator("input[type=file]").first.set_input_files(FOLDER.parent.parent / RECORDING)
            page.get_by_role("combobox", name="Translate into").click()
            page.get_by_role("option", name="English (en)").click()
            page.get_by_role("button", name="Transcribe").click()
            page.get_by_role("list", name="Words").wait_for()
            page.get_by_role("button", name="Download .tsv").wait_for()
            page.mouse.move(0, 0)
            page.wait_for_timeout(2000)
            written = io.BytesIO(page.screenshot(full_page=True))
            browser.close()
    finally:
        server.terminate()
        server.wait()
    Image.open(written).convert("RGB").quantize(128).save(path, optimize=True)


def main() -> None:
    """Writes all figures."""
    for name, drawing in make_drawings().items():
        (FOLDER / name).write_text(drawing, encoding="utf-8")
    make_recording_picture(FOLDER / "recording.png")
    make_page_picture(FOLDER / "page.png")


if __name__ == "__main__":
    main()
