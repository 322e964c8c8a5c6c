# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Every model card renders, and says only what somebody stands for."""

import re
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, make_tiny_pair

from mu2slam_hf import default_checkpoint, load_default, read_manifest
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.hub.card_check import check_card
from mu2slam_hf.hub.card_examples import choose_records, make_card_examples
from mu2slam_hf.hub.cards import load_card_facts, render_card

CARDS = REPOSITORY_ROOT / "model_cards"
FACTS = sorted(CARDS.glob("*.yaml"))


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_every_card_renders(path, tmp_path):
    facts = load_card_facts(path)
    described = {"model": make_tiny_pair()[0], "model_type": MODEL_TYPES["mu2slam"], "has_code": False}
    card = render_card(CARDS / "template.md", facts, **described)
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert check_card(tmp_path / "README.md") == []
    assert facts.limits and facts.licence_note and facts.command
    # Every row of a table has as many cells as its head: no text of a person has broken it.
    table = [line for line in card.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1, table


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_a_card_names_recipes_that_are_there(path):
    facts = load_card_facts(path)
    named = re.findall(r"(?:lab/)?configuration/recipes/[\w./-]+\.yaml", f"{facts.recipe} {facts.command}")
    assert named
    for recipe in named:
        assert (REPOSITORY_ROOT / recipe).is_file(), recipe


@pytest.mark.parametrize("path", FACTS, ids=lambda path: path.stem)
def test_no_score_is_written_by_hand(path):
    """Scores come from records of evaluations; in the facts they would grow old unseen."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(WER|CER|BLEU|chrF)\b[^.]{0,20}\d", text, flags=re.IGNORECASE)


def test_the_shipped_checkpoint_has_its_card():
    card = Path(default_checkpoint()) / "README.md"
    if not card.is_file():
        pytest.skip("the shipped checkpoint has not been trained in this working tree")
    assert check_card(card) == []
    text = card.read_text(encoding="utf-8")
    assert "## Limits" in text and "## Results" in text and "None are recorded." not in text
    assert "trust_remote_code" not in text and "custom_code" not in text, "the folder of the package has no code"


def test_the_examples_of_the_shipped_card_are_outputs_of_the_checkpoint():
    card = Path(default_checkpoint()) / "README.md"
    if not card.is_file():
        pytest.skip("the shipped checkpoint has not been trained in this working tree")
    chosen = choose_records(read_manifest(REPOSITORY_ROOT / "examples" / "manifest.tsv"))
    text = card.read_text(encoding="utf-8")
    shown = text[text.index("## Examples") : text.index("## Use")]
    for example in make_card_examples(*load_default(), chosen):
        for line in (example.name, f"said: {example.reference}", f"output: {example.output}"):
            assert line in shown, line
        for reference, output in example.translations.values():
            assert f": {reference}\n  - output: {output}\n" in shown
