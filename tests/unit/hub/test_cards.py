# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Model cards: numbers only from results, and nothing that nobody has said."""

import re
from dataclasses import replace

import jinja2
import pytest
import torch
import yaml
from helpers import REPOSITORY_ROOT, make_tiny_pair

import mu2slam_hf
from mu2slam_hf import Mu2SLAMForCTC
from mu2slam_hf.checkpoints.model_types import MODEL_TYPES
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.score import Score
from mu2slam_hf.hub.card_check import check_card
from mu2slam_hf.hub.cards import card_template, collect_choices, load_card_facts, render_card, render_table

TEMPLATE = card_template()
FACTS = REPOSITORY_ROOT / "tests" / "unit" / "hub" / "card_facts.yaml"


def score(**kwargs) -> Score:
    defaults = {"task": "asr", "metric": "wer", "value": 12.34, "source_lang": "en", "target_lang": "en"}
    return Score(**{**defaults, "source_lang_given": True, "num_items": 5, "signature": "words", **kwargs})


RESULTS = EvaluationResults(
    command="mu2slam evaluate --corpus prompts5",
    created="2026-01-01T00:00:00+00:00",
    git_commit="abc123",
    machine={"cores": 2},
    versions={"python": "3.11"},
    model={"name": "tiny", "num_parameters": 10},
    data={"corpus": "prompts5", "split": "dev"},
    settings={"num_beams": 4},
    seed=3,
    duration_seconds=9.5,
    scores=(
        score(),
        score(metric="cer", value=4.0),
        score(value=20.0, source_lang_given=False),
        score(source_lang="mean", target_lang="mean", value=33.3),
        score(task="ast", metric="chrf", target_lang="fr", value=51.0),
        score(task="ast", metric="chrf", target_lang="fr", value=48.0, system="nearest"),
    ),
)


@pytest.fixture(scope="module")
def model():
    return make_tiny_pair()[0]


def render(model, results=(), name="mu2slam", has_code=True, **options):
    described = {"model": model, "model_type": MODEL_TYPES[name], "has_code": has_code, "results": results}
    return render_card(TEMPLATE, load_card_facts(FACTS), **described, **options)


def test_a_card_has_metadata_and_every_number(model, tmp_path):
    card = render(model, [RESULTS])
    path = tmp_path / "README.md"
    path.write_text(card)
    assert check_card(path) == []
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["language"] == ["en", "es", "fr", "it", "ru"] and metadata["license"] == "apache-2.0"
    result = metadata["model-index"][0]["results"][0]
    assert result["metrics"] == [{"type": "wer", "value": 33.3, "name": "mean WER"}]
    assert result["dataset"]["name"] == "prompts5" and result["dataset"]["split"] == "dev"
    for text in ("12.3", "20.0", "33.3", "51.0", "48.0", "abc123", "mu2slam evaluate --corpus prompts5", "seed 7"):
        assert text in card, text
    assert "{{" not in card and "{%" not in card


def test_without_results_there_is_no_number(model):
    card = render(model)
    assert "None are recorded." in card and "model-index" not in card
    assert not re.search(r"\d+\.\d %|WER", card)


def test_only_a_card_beside_code_says_that_the_folder_loads_without_the_package(model):
    with_code, without = (render(model, has_code=has_code) for has_code in (True, False))
    assert "custom_code" in with_code and with_code.count("trust_remote_code=True") == 2
    assert "custom_code" not in without and "trust_remote_code" not in without


def test_the_calls_of_a_card_have_languages_of_the_model(model):
    card = render(model, languages=["bg", "ru"])
    assert yaml.safe_load(card.split("---\n")[1])["language"] == ["bg", "ru"]
    assert '"source_lang": "bg", "target_lang": "ru"' in card and "--from bg --to ru" in card
    assert not re.search(r"""(lang="|lang": "|--from |--to )(?!bg|ru)""", card)
    assert "target_lang" not in render(model, languages=["bg"])


def test_a_card_of_a_ctc_model_does_not_promise_translation(model):
    ctc = Mu2SLAMForCTC.from_conditional_generation(model)
    card = render(ctc, name="mu2slam_ctc")
    assert "AutoModelForCTC" in card and "target_lang" not in card


@pytest.mark.parametrize(
    ("name", "pipeline_tag", "shown"),
    [
        ("MSLAMForAudioClassification", "audio-classification", 'pipeline("audio-classification"'),
        ("MSLAMForSequenceClassification", "text-classification", 'pipeline("text-classification"'),
        ("MSLAMForPreTraining", "feature-extraction", "SpeechTextEncoder"),
    ],
)
def test_a_card_shows_how_to_use_this_kind_of_model(model, name, pipeline_tag, shown, tmp_path):
    """The code without the package is run on a saved model, with its real name."""
    processor = make_tiny_pair()[1]
    config = mu2slam_hf.MSLAMConfig(
        encoder_config=model.config.encoder_config.to_dict(),
        num_speech_layers=1,
        num_labels=3,
        **{key: getattr(model.config, key) for key in ("vocab_size", "num_speech_tokens", "text_token_offset")},
        languages=list(processor.languages),
    )
    other = getattr(mu2slam_hf, name)(config)
    card = render(other, name="mslam")
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["pipeline_tag"] == pipeline_tag and metadata["tags"][0] == "mslam"
    assert shown in card and "mSLAM (Bapna et al., 2022) leaves" in card
    assert "automatic-speech-recognition" not in card and "generate" not in card.split("## Limits")[0]
    other.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    *_, code = re.findall(r"```python\n(.*?)```", card.split("## Limits")[0], flags=re.DOTALL)
    *lines, last = code.replace("PATH_OR_NAME", str(tmp_path)).strip().splitlines()
    names = {"samples": torch.sin(torch.arange(16000) * 0.05).numpy()}
    exec("\n".join(lines), names)
    assert type(names["model"]).__name__ in (name, "MSLAMModel")
    answer = eval(last, names)
    assert answer in config.id2label.values() if "Classification" in name else answer.shape[-1] == config.hidden_size


def test_a_card_of_a_model_without_heads_is_refused(model):
    with pytest.raises(ValueError, match="its heads .*Mu2SLAMForConditionalGeneration, .*, got Mu2SLAMModel"):
        render(model.model)


def test_a_table_has_a_column_for_every_way_of_scoring():
    lines = render_table([s for s in RESULTS.scores if s.task == "ast"]).splitlines()
    assert lines[0] == "| | chrF | chrF, baseline nearest |" and lines[2] == "| en to fr | 51.0 | 48.0 |"
    lines = render_table([s for s in RESULTS.scores if s.task == "asr"]).splitlines()
    assert lines[0] == "| | WER | CER | WER, language not given |"
    assert lines[2:] == ["| en | 12.3 | 4.0 | 20.0 |", "| mean | 33.3 |  |  |"]


def test_groups_are_rows_of_the_table_and_not_results_of_the_hub(model):
    group = {"group": "unseen words", "value": 61.0}
    mean = {"source_lang": "mean", "target_lang": "mean", "group": "unseen words", "value": 62.0}
    scores = (*RESULTS.scores, score(**group), score(metric="unseen_word_recall", **group), score(**mean))
    card = render(model, [replace(RESULTS, scores=scores)])
    lines = card.splitlines()
    assert "| | WER | CER | WER, language not given | unseen word recall |" in lines
    assert "| en, unseen words | 61.0 |  |  | 61.0 |" in lines and "| mean, unseen words | 62.0 |  |  |  |" in lines
    assert any(line.startswith("Seen words: recordings whose words all occur") for line in lines)
    assert "Seen words:" not in render(model, [RESULTS])
    metadata = yaml.safe_load(card.split("---\n")[1])
    values = [metric["value"] for entry in metadata["model-index"][0]["results"] for metric in entry["metrics"]]
    assert values == [33.3]


def test_decisions_are_collected_whole():
    choices = collect_choices(MODEL_TYPES["mu2slam"])
    assert any("without a special warm-up." in remark for remark in choices["modules_transformer.py"])
    for remarks in choices.values():
        for remark in remarks:
            assert remark and "Args:" not in remark and "import " not in remark and '"""' not in remark


def test_faults_in_the_facts_are_named(tmp_path, model):
    facts = yaml.safe_load(FACTS.read_text())
    for change, message in (
        ({"licens": "x"}, "licen"),
        ({"seed": "seven"}, "seed"),
        ({"data": [{"name": "a", "use": "b"}]}, "licence"),
    ):
        path = tmp_path / "facts.yaml"
        path.write_text(yaml.safe_dump({**facts, **change}))
        with pytest.raises(ValueError, match=message):
            load_card_facts(path)
    with pytest.raises(ValueError, match="no such file"):
        load_card_facts(tmp_path / "missing.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ValueError, match="expected a mapping"):
        load_card_facts(tmp_path / "list.yaml")


def test_a_template_may_use_known_names_only(tmp_path, model):
    (tmp_path / "template.md").write_text("{{ accuracy }}")
    described = {"model": model, "model_type": MODEL_TYPES["mu2slam"], "has_code": True}
    with pytest.raises(jinja2.UndefinedError):
        render_card(tmp_path / "template.md", load_card_facts(FACTS), **described)
