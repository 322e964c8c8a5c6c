# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The code blocks of the documentation: how they are found, executed, and compared with the outputs that are shown.

Conventions of a page:

- `bash` blocks hold `mu2slam ...`, `python -m lab ...`, `cat FILE` and `export NAME=VALUE`. They are executed in this
  process, in a temporary folder with links to what is at the top of the repository, in the order of the page. `pip
  install` and `pytest` are left to `.ci/run`. `mu2slam serve ... &` runs in a process of its own until the end of the
  page, on a free port in place of 8000.
- `python` blocks of a page share their names, and run in the same folder, in the same order.
- A `text` block directly after an executed block is its standard output. A line `...` stands for any lines.
- A `yaml` block is a recipe, or after `<!-- recipe: NAME -->` a part of one, merged into the recipe NAME.
- The line `*(Not run by the tests: REASON.)*` below a block, which readers see, exempts it. Its `mu2slam` lines are
  still parsed, its scripts and recipes must exist, its Python must compile and its YAML must load.
"""

import contextlib
import io
import os
import re
import shlex
import unittest.mock
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from helpers import REPOSITORY_ROOT
from lab_package import load_lab
from serving_process import ServerProcess

load_lab()

LINKED = ("benchmarks", "configuration", "examples", "lab", "model_cards", "mu2slam_hf", "results", "training_scripts")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_RECIPE = re.compile(r"<!-- recipe: ([^\n]+) -->\n\Z")
_NOT_RUN = re.compile(r"\n\n\*\(Not run by the tests: ([^\n]+)\.\)\*\n")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")
# Durations are different in every run.
_DURATION = re.compile(
    r"\d[\d.]*(?= s/step| min\b| s of speech/s| tokens/s)|(?<=runtime )\d[\d.]*|(?<=waiting )[\d.]+|(?<=MFU )[\d.]+"
)
# What .ci/run does in an environment of its own.
_LEFT_TO_CI = ("python -m pip install ", "pytest ")
_LAB = ["python", "-m", "lab"]
SHOWN_ADDRESS = "http://127.0.0.1:8000/v1"
"""Of the server of a page."""
_ASSIGNMENT = re.compile(r"[A-Z_][A-Z0-9_]*=")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block.

    Attributes:
        document: path relative to the repository.
        line: line of its first fence, from 1.
        language: the word after the fence.
        text: content, with the last newline.
        span: where the content is in the document.
        recipe: recipe that the block is a part of; None for others.
        reason: why the block is not run; None if it is.
        output: the block with the expected output.
    """

    document: str
    line: int
    language: str
    text: str
    span: tuple[int, int]
    recipe: str | None = None
    reason: str | None = None
    output: "Block | None" = None

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.document}:{self.line}"

    @property
    def is_executed(self) -> bool:
        """Whether the block is a program that runs as shown."""
        return self.reason is None and self.language in ("bash", "python")


def find_documents() -> list[str]:
    """README.md, the pages of `docs/`, and the README of the example recordings and of the laboratory."""
    pages = sorted((REPOSITORY_ROOT / "docs").rglob("*.md"))
    return [
        "README.md",
        "examples/README.md",
        "lab/README.md",
        *(str(path.relative_to(REPOSITORY_ROOT)) for path in pages),
    ]


RESULTS = [
    "RESULTS.md",
    *(str(p.relative_to(REPOSITORY_ROOT)) for p in sorted(REPOSITORY_ROOT.glob("results/*/README.md"))),
]
"""The page of results and those of its topics, whose commands take hours and are not executed."""


def read_blocks(document: str, content: str | None = None) -> list[Block]:
    """The blocks of a document in order; outputs belong to the block before them."""
    if content is None:
        content = (REPOSITORY_ROOT / document).read_text(encoding="utf-8")
    blocks: list[Block] = []
    end_of_last = -1
    for match in _FENCE.finditer(content):
        recipe, reason = _RECIPE.search(content, 0, match.start()), _NOT_RUN.match(content, match.end())
        block = Block(
            document=document,
            line=content.count("\n", 0, match.start()) + 1,
            language=match[1],
            text=match[2],
            span=match.span(2),
            recipe=recipe[1].strip() if recipe else None,
            reason=reason[1] if reason else None,
        )
        follows = bool(blocks) and not content[end_of_last : match.start()].strip()
        if block.language == "text" and follows and blocks[-1].is_executed and blocks[-1].output is None:
            blocks[-1] = replace(blocks[-1], output=block)
        else:
            blocks.append(block)
        end_of_last = match.end()
    return blocks


def make_folder(folder: Path) -> Path:
    """Fills a temporary folder with links to what documents name, so that outputs stay in it."""
    for name in LINKED:
        (folder / name).symlink_to(REPOSITORY_ROOT / name)
    return folder


def make_program(text: str, model: Path) -> str:
    """The Python block of a model card as a program that reads one second of sound and prints its last value."""
    *lines, last = text.replace("PATH_OR_NAME", str(model)).strip().splitlines()
    samples = "import numpy\nsamples = numpy.sin(numpy.arange(16000) * 0.05).astype('float32')"
    return "\n".join([samples, *lines, f"print({last})"])


def command_lines(text: str) -> list[str]:
    """The commands of a bash block: continued lines joined, commands joined by && apart, comments gone."""
    lines = text.replace("\\\n", " ").splitlines()
    parts = [re.sub(r"(^|\s)#\s.*", "", part) for line in lines for part in line.split(" && ")]
    return [" ".join(part.split()) for part in parts if part.strip()]


def execute_page(blocks: list[Block]) -> Iterator[tuple[Block, str]]:
    """Runs the executed blocks of a page in the current folder; yields each with its standard output."""
    names: dict[str, Any] = {"__name__": "__main__"}
    former = dict(os.environ)
    servers: list[ServerProcess] = []
    try:
        for block in blocks:
            if block.is_executed:
                written = io.StringIO()
                with contextlib.redirect_stdout(written), contextlib.redirect_stderr(io.StringIO()) as errors:
                    try:
                        text = block.text
                        for server in servers:
                            text = text.replace(SHOWN_ADDRESS, server.address)
                        if block.language == "python":
                            exec(compile(text, block.place, "exec"), names)
                        else:
                            for command in command_lines(text):
                                if command.startswith("mu2slam serve ") and command.endswith(" &"):
                                    servers.append(ServerProcess(Path.cwd(), *shlex.split(command)[2:-1]))
                                    print(f"mu2slam serves at {SHOWN_ADDRESS}")
                                else:
                                    run_command(command)
                    except Exception as error:
                        raise AssertionError(f"{block.place}: {error}\n{errors.getvalue()[-2000:]}") from error
                yield block, written.getvalue()
    finally:
        for server in servers:
            server.stop()
        os.environ.clear()
        os.environ.update(former)


def run_command(command: str) -> None:
    """Runs one line of a bash block in this process; the exit status must be 0."""
    from lab.commands import main as run_lab
    from mu2slam_hf.cli import main

    if command.startswith(_LEFT_TO_CI):
        return
    words = shlex.split(command)
    if words[0] == "mu2slam" or words[:3] == _LAB:
        status = main(expand_words(command)[1:]) if words[0] == "mu2slam" else run_lab(expand_words(command)[3:])
        assert status == 0, f"{command}: exit status {status}"
    elif words[0] == "cat":
        for name in expand_words(command)[1:]:
            print(Path(name).read_text(encoding="utf-8"), end="")
    elif words[0] == "export":
        for assignment in words[1:]:
            name, _, value = assignment.partition("=")
            os.environ[name] = value
    else:
        raise AssertionError(
            f"{command}: only mu2slam, python -m lab, cat and export run; say below the block why it does not"
        )


def expand_words(command: str) -> list[str]:
    """The words of a command as bash passes them: file patterns outside of quotes replaced by files, sorted."""
    words = []
    for raw, word in zip(shlex.split(command, posix=False), shlex.split(command), strict=True):
        found = sorted(map(str, Path().glob(word))) if "*" in raw and raw[0] not in "\"'" else []
        words += found or [word]
    return words


def check_command(command: str) -> None:
    """Checks a line that is not executed: it parses, and the scripts and recipes that it names exist."""
    from lab.commands import build_parser as build_lab_parser
    from mu2slam_hf.cli import build_parser
    from mu2slam_hf.recipes.schema.shipped import find_recipe

    words = shlex.split(command)
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    if words and words[0] == "mu2slam":
        build_parser().parse_args(words[1:])
    elif words[:3] == _LAB:
        build_lab_parser().parse_args(words[3:])
    for word in words:
        if re.match(r"(training_scripts|configuration|lab|benchmarks|examples|results|\.ci|tests)/[\w./-]*\w$", word):
            assert (REPOSITORY_ROOT / word).exists(), f"{command}: {word} does not exist"
    if "--recipe" in words:
        recipe = words[words.index("--recipe") + 1]
        assert recipe == "..." or recipe.startswith("my") or find_recipe(recipe).is_file(), command


def read_recipe(block: Block, folder: Path) -> Any:
    """Loads the recipe of a YAML block as `mu2slam train` does; its paths are the reader's and need not exist."""
    from mu2slam_hf.recipes.runs.registry import load_recipe
    from mu2slam_hf.recipes.schema.loader import read_tree
    from mu2slam_hf.recipes.schema.shipped import find_recipe

    tree = yaml.safe_load(block.text)
    assert isinstance(tree, dict), f"{block.place}: expected a mapping"
    if block.recipe is not None:
        tree = merge(read_tree(find_recipe(block.recipe)), tree)
    file = folder / "recipe_of_a_page.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    with unittest.mock.patch("mu2slam_hf.recipes.schema.loader.resolve_path", lambda value, *_: value):
        return load_recipe(file)


def merge(base: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `part` over those of `base`; sections are merged, lists replaced."""
    merged = dict(base)
    for name, value in part.items():
        former = merged.get(name)
        merged[name] = merge(former, value) if isinstance(former, dict) and isinstance(value, dict) else value
    return merged


def explain_difference(expected: str, actual: str) -> str | None:
    """What differs between a shown and a written output; None if nothing does.

    Whitespace at the ends of lines is ignored, a line `...` stands for any number of lines, and numbers may differ
    by 5 % or one in the last place that is shown: other processors and versions round differently. Durations are not
    compared.
    """
    shown, written = (
        [_DURATION.sub("0", line).rstrip() for line in text.strip("\n").splitlines()] for text in (expected, actual)
    )
    place = 0
    is_open = False
    for line in shown:
        if line.strip() == "...":
            is_open = True
            continue
        while is_open and place < len(written) and not _is_same_line(line, written[place]):
            place += 1
        if place >= len(written) or not _is_same_line(line, written[place]):
            return f"shown:   {line}\nwritten: {written[place] if place < len(written) else '(end)'}"
        place += 1
        is_open = False
    return None if is_open or place == len(written) else f"written, but not shown: {written[place]}"


def _is_same_line(shown: str, written: str) -> bool:
    if [part.split() for part in _NUMBER.split(shown)] != [part.split() for part in _NUMBER.split(written)]:
        return False
    pairs = zip(_NUMBER.findall(shown), _NUMBER.findall(written), strict=True)
    return all(abs(float(a) - float(b)) <= max(0.05 * abs(float(a)), 1.01 * _last_place(a)) for a, b in pairs)


def _last_place(number: str) -> float:
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
