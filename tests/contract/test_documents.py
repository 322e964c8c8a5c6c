# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What the documentation shows is what happens: every code block is executed, or says why not and is checked."""

import importlib
import pkgutil
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from document_blocks import (
    RESULTS,
    check_command,
    command_lines,
    execute_page,
    explain_difference,
    find_documents,
    make_folder,
    read_blocks,
    read_recipe,
)
from helpers import REPOSITORY_ROOT

from lab.commands import build_parser as build_lab_parser
from mu2slam_hf import default_checkpoint
from mu2slam_hf.cli import build_parser
from mu2slam_hf.training import objectives
from mu2slam_hf.training.objectives.objective import Objective

DOCUMENTS = find_documents()
PAGES = [name for name in DOCUMENTS if name.startswith("docs/")]
LANGUAGES = {"bash", "python", "yaml", "bibtex"}  # a reference is no program


@pytest.fixture
def page_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(make_folder(tmp_path))
    return tmp_path


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if any(b.is_executed for b in read_blocks(name))])
def test_blocks_run_and_write_what_is_shown(document, page_folder):
    if not (Path(default_checkpoint()) / "config.json").is_file():
        pytest.skip("the shipped checkpoint is not in this working tree")
    for block, written in execute_page(read_blocks(document)):
        if block.output is not None:
            difference = explain_difference(block.output.text, written)
            assert difference is None, f"{block.place}\n{difference}\n(tests/record_documents.py records it)"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_executed_or_says_why_not(document, tmp_path):
    content = (REPOSITORY_ROOT / document).read_text(encoding="utf-8")
    assert len(re.findall(r"^[ \t]*```", content, re.MULTILINE)) == len(re.findall(r"^```", content, re.MULTILINE)), (
        f"{document}: an indented fence would be overlooked"
    )
    for block in read_blocks(document):
        if block.reason is None:
            assert block.language in LANGUAGES, f"{block.place}: a {block.language or 'plain'} block is not executed"
        if block.language == "bash" and block.reason is not None:
            for command in command_lines(block.text):
                check_command(command)
        elif block.language == "python":
            compile(block.text, block.place, "exec")
        elif block.language == "yaml" and block.reason is not None:
            yaml.safe_load(block.text)
        elif block.language == "yaml":
            read_recipe(block, tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_readers_see_which_blocks_are_not_run(document):
    """No mark is hidden in a comment, and each belongs to a block, where the reader looks for it."""
    content = (REPOSITORY_ROOT / document).read_text(encoding="utf-8")
    comments = re.findall(r"<!--\s*(\w+)", content)
    assert set(comments) <= {"recipe"}, f"{document}: {comments}"
    marks = re.findall(r"not (?:run|executed) by the tests:", content, re.IGNORECASE)
    assert len(marks) == sum(block.reason is not None for block in read_blocks(document))


def test_every_command_is_documented():
    assert shown_commands(PAGES, "mu2slam ") >= set(build_parser().commands)
    assert shown_commands(["lab/README.md"], "python -m lab ") >= set(build_lab_parser().commands)


def shown_commands(documents: list[str], program: str) -> set[str]:
    return {
        command.removeprefix(program).split()[0]
        for document in documents
        for block in read_blocks(document)
        if block.language == "bash"
        for command in command_lines(block.text)
        if command.startswith(program)
    }


def test_every_public_name_is_in_the_reference():
    stub = (REPOSITORY_ROOT / "mu2slam_hf" / "__init__.pyi").read_text(encoding="utf-8")
    public = {f"{module}.{name}" for module, name in re.findall(r"^from (\S+) import (\w+) as", stub, re.MULTILINE)}
    assert public - names_in_the_reference() == set()


def names_in_the_reference() -> set[str]:
    pages = (REPOSITORY_ROOT / "docs" / "reference").glob("*.md")
    return {name for page in pages for name in re.findall(r"^::: (\S+)", page.read_text("utf-8"), re.MULTILINE)}


@pytest.mark.parametrize("name", sorted(names_in_the_reference()))
def test_names_in_the_reference_exist(name):
    pkgutil.resolve_name(name)


def test_every_page_is_in_the_navigation():
    site = (REPOSITORY_ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for document in PAGES:
        assert f"{document.removeprefix('docs/')}\n" in site, f"{document} is not in mkdocs.yml"


@pytest.mark.parametrize("document", [*DOCUMENTS, "CONTRIBUTING.md", *RESULTS])
def test_links_lead_to_files(document):
    path = REPOSITORY_ROOT / document
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{document}: {target} does not exist"


def test_the_code_map_has_every_loss_and_leads_to_what_it_names():
    path = REPOSITORY_ROOT / "docs" / "explanation" / "code_map.md"
    content = path.read_text(encoding="utf-8")
    links = re.findall(r"\[`(\w+)`\]\((\S+\.py)\)", content)
    assert links
    for name, target in links:
        source = (path.parent / target).read_text(encoding="utf-8")
        assert re.search(rf"^(?:class|def) {name}\b", source, re.MULTILINE), f"{target} does not define {name}"
    for module in pkgutil.iter_modules(objectives.__path__, f"{objectives.__name__}."):
        importlib.import_module(module.name)
    known = {loss for objective in find_subclasses(Objective) for loss in getattr(objective, "names", ())}
    assert {loss for loss in known if f"`{loss}`" not in content} == set()


def find_subclasses(base: type) -> set[type]:
    return {base}.union(*(find_subclasses(derived) for derived in base.__subclasses__()))


@pytest.mark.parametrize(
    ("shown", "written", "is_same"),
    [
        ("a 1.00 b\n", "a 1.01  b\n", True),
        ("a 1.00 b\n", "a 1.10 b\n", False),
        ("65 %\n", "66 %\n", True),
        ("65 %\n", "75 %\n", False),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\n", "a\nb\nc\n", True),
        ("a\n", "a\nb\n", False),
        ("a\nb\n", "a\n", False),
        ("the tone\n", "the zone\n", False),
    ],
)
def test_outputs_are_compared_with_tolerance_for_numbers_only(shown, written, is_same):
    assert (explain_difference(shown, written) is None) == is_same


def test_blocks_are_found_with_their_markers_and_outputs():
    content = (
        "```bash\nmu2slam recipes\n```\n\n```text\nout\n```\n\n```bash\nmu2slam corpora  # a comment\n```\n\n"
        "*(Not run by the tests: needs corpora.)*\n\ntext\n\n```text\nalone\n```\n"
    )
    first, second, third = read_blocks("page.md", content)
    assert first.is_executed and first.output is not None and first.output.text == "out\n"
    assert not second.is_executed and second.reason == "needs corpora" and second.output is None
    assert third.language == "text" and third.reason is None  # which the test above refuses
    assert command_lines(second.text) == ["mu2slam corpora"]
    assert content[slice(*first.output.span)] == "out\n"


def test_figures_are_those_of_their_script():
    figures = REPOSITORY_ROOT / "docs" / "figures"
    names = runpy.run_path(str(figures / "make_figures.py"))
    for name, drawing in names["make_drawings"]().items():
        assert (figures / name).read_text(encoding="utf-8") == drawing, f"{name}: run docs/figures/make_figures.py"
        ElementTree.fromstring(drawing)
    assert (REPOSITORY_ROOT / names["RECORDING"]).is_file()
    assert 10_000 < (figures / "recording.png").stat().st_size < 200_000
    assert 10_000 < (figures / "page.png").stat().st_size < 300_000
