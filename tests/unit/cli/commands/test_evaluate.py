# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Selections of `mu2slam evaluate`: options of corpora, directions, recordings with words that training never had."""

import gzip
import json
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, save_tiny_checkpoint

from mu2slam_hf.cli import build_parser, main
from mu2slam_hf.cli.corpus_options import load_corpora
from mu2slam_hf.cli.directions import select_directions
from mu2slam_hf.cli.records import describe_data, load_corpus_records
from mu2slam_hf.cli.training_texts import read_training_words
from mu2slam_hf.data.records import SpeechTextRecord
from mu2slam_hf.evaluation.records.results import EvaluationResults

MANIFEST = str(REPOSITORY_ROOT / "examples" / "manifest.tsv")
HEADER = "id\ten\tes\tfr\tit\tru\tsource"
DEV = [
    "d1\t\t\t\tuno\tодин\ttatoeba:it=m",
    "d2\tpress one\t\t\tpremere uno\t\ttatoeba:it=a",
    "d3\tpress two\t\tappuyez\tpremere due\t\ttatoeba:fr=a",
    "d4\tlog in\t\tse connecter\t\t\tui-django",
]


@pytest.fixture
def parallel_text(tmp_path):
    """Folder of a small parallel_text."""
    root = tmp_path / "parallel_text"
    root.mkdir()
    (root / "dev.tsv").write_text("\n".join([HEADER, *DEV]) + "\n", encoding="utf-8")
    for name in ("train", "ui", "bible"):
        with gzip.open(root / f"{name}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write(f"{HEADER}\nt\tpress one!\t\t{name}\t\t\tbible\n")
    return root


def parse(*arguments):
    return build_parser().parse_args([str(argument) for argument in arguments])


def fail(capsys, *arguments):
    """The message of a command that fails."""
    assert main([str(argument) for argument in arguments]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_texts_of_a_corpus_in_some_directions(parallel_text, tmp_path, capsys):
    model, results = save_tiny_checkpoint(tmp_path / "model"), tmp_path / "results.json"
    status = main(
        [
            *("evaluate", "--corpus", f"parallel_text={parallel_text}", "--option", "domains=[everyday]"),
            *("--tasks", "mt", "--directions", "en-it,it-en", "en-fr", "--limit", "1", "--baseline-split", "train"),
            *("--option", "text_style=norm", "--model", model, "--results", str(results), "--max-new-tokens", "4"),
        ]
    )
    assert status == 0
    record = EvaluationResults.load(results)
    assert record.data["options"] == {"domains": ["everyday"], "text_style": "norm"}
    assert record.data["directions"] == ["en-it", "it-en", "en-fr"]
    # The first record of each language is the first one that has one of the directions.
    scores = record.find(metric="chrf", system="model")
    assert {(s.source_lang, s.target_lang) for s in scores if s.source_lang in ("en", "it")} == {
        *[("en", "it"), ("it", "en"), ("en", "mean")]
    }
    assert record.settings["num_hypotheses"] == record.data["num_records"] == 2
    assert "it-en" in capsys.readouterr().out


def test_records_of_the_directions():
    spoken = SpeechTextRecord(id="1", audio="x", text="a", lang="en", translations={"fr": "b", "pt-BR": "c"})
    text = SpeechTextRecord(id="2", text="a", lang="pt-BR", translations={"en": "b"})
    alone = SpeechTextRecord(id="3", audio="x", text="a", lang="fr")
    records = [spoken, text, alone]

    def kept(directions, *tasks):
        return [(record.id, sorted(record.translations)) for record in select_directions(records, directions, tasks)]

    assert kept(["en-pt-BR", "pt-BR-en"], "mt") == [("1", ["pt-BR"]), ("2", ["en"])]
    assert kept(["en-fr"], "ast") == [("1", ["fr"])]
    assert kept(["en-fr"], "asr", "ast") == [("1", ["fr"]), ("2", []), ("3", [])]
    with pytest.raises(ValueError, match=r"--directions pt-BR-en: .* for ast; it has en-fr, en-pt-BR$"):
        kept(["pt-BR-en", "en-fr"], "ast")
    with pytest.raises(ValueError, match="--directions requires ast or mt in --tasks, got asr"):
        kept(["en-fr"], "asr")


def test_directions_that_do_not_exist_are_named_before_a_model_is_loaded(parallel_text, capsys):
    corpus = ("--corpus", "parallel_text", "--root", parallel_text, "--model", "gone")
    message = fail(capsys, "evaluate", *corpus, "--tasks", "mt", "--directions", "en-es", "en-de", "en-it")
    assert "--directions en-es en-de: the data has no such direction for mt; it has en-fr, en-it, fr-en" in message
    with pytest.raises(SystemExit):
        main(["evaluate", "--manifest", MANIFEST, "--directions", "en,fr"])
    assert "expected directions such as en-fr, separated by commas, got 'en,fr'" in capsys.readouterr().err


def test_options_are_values_of_the_loader(parallel_text):
    args = parse("evaluate", "--corpus", f"parallel_text={parallel_text}", "--option", "languages=[it, ru]")
    records = load_corpus_records(args, "dev", None)
    assert [f"{record.lang}/{record.id}" for record in records] == ["it/d1", "ru/d1", "it/d2", "it/d3"]
    assert describe_data(args) == {
        **{"corpus": "parallel_text", "split": "dev", "limit": None},
        "options": {"languages": ["it", "ru"]},
    }
    without = parse("retrieve", "--manifest", MANIFEST)
    assert "options" not in describe_data(without) and "directions" not in describe_data(without)


def test_of_several_corpora_each_takes_the_options_it_has(parallel_text, tmp_path):
    header = "id\tlang\taudio\tlicence\ttext\ttext_norm\n"
    (tmp_path / "train.tsv").write_text(f"{header}w\ten\ta.opus\tGPL\tA\ta\nv\ten\tb.opus\tCC-BY-SA\tB\tb\n")
    sources = [("gcompris_voices", str(tmp_path)), ("parallel_text", str(parallel_text))]
    options = ["--option", "free_licences=true", "--option", "domains=bible"]
    loaded = dict(load_corpora(parse("calibrate", *options), sources, "train"))
    assert [record.id for record in loaded["gcompris_voices"]] == ["v"]
    assert [record.text for record in loaded["parallel_text"]] == ["press one", "bible"]
    with pytest.raises(ValueError, match=r"--option domains: .* the options of gcompris_voices are text_column, "):
        list(load_corpora(parse("calibrate", *options), sources[:1], "train"))


def test_options_that_cannot_be_used_are_named(parallel_text, capsys):
    corpus = ("evaluate", "--corpus", f"parallel_text={parallel_text}", "--option")
    message = fail(capsys, *corpus, "domain=ui")
    assert "--option domain: unknown option; the options of parallel_text are domains, text_style" in message
    assert "parallel_text cannot be read with max_characters='long'" in fail(capsys, *corpus, "max_characters=long")
    without = fail(capsys, "evaluate", "--manifest", MANIFEST, "--option", "domains=ui")
    assert "--option domains requires --corpus" in without
    for value, message in (("domains", "expected NAME=VALUE"), ("domains=[ui", "not valid YAML")):
        with pytest.raises(SystemExit):
            main([*map(str, corpus), value])
        assert message in capsys.readouterr().err


def test_recordings_with_words_that_training_never_had(tmp_path, capsys):
    """The Spanish examples are the training texts: all their words are seen, of the English ones none."""
    rows = Path(MANIFEST).read_text(encoding="utf-8").splitlines()
    spanish = [rows[0].replace("text_en", "english"), *(row for row in rows if "\tes\t" in row)]
    (tmp_path / "train.tsv").write_text("\n".join(spanish) + "\n", encoding="utf-8")
    model, results = save_tiny_checkpoint(tmp_path / "model"), tmp_path / "results.json"
    status = main(
        [
            *("evaluate", "--manifest", MANIFEST, "--languages", "en,es", "--tasks", "asr", "--max-new-tokens", "4"),
            *("--training-texts", str(tmp_path / "train.tsv"), "--model", model, "--results", str(results)),
        ]
    )
    assert status == 0
    record = EvaluationResults.load(results)
    groups = {(s.group, s.source_lang): s for s in record.find(metric="unseen_word_rate")}
    assert groups["seen words", "es"].value == 0.0 and groups["seen words", "es"].num_items == 2
    assert groups["unseen words", "en"].value > 50.0 and ("unseen words", "es") not in groups
    assert set(record.settings["num_training_words"]) == {"es", "fr", "it", "ru"}
    assert "en, unseen words" in capsys.readouterr().out


def test_training_texts_are_manifests_corpora_and_recipes(parallel_text, tmp_path):
    corpus = f"parallel_text={parallel_text}"
    (tmp_path / "more").mkdir()
    rows = [json.dumps({"text": text, "lang": "en", "audio": f"{text}.wav"}) for text in ("five", "six")]
    (tmp_path / "more" / "train.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "recipe.yaml").write_text(
        "data:\n  corpora:\n"
        f"    bible: {{name: parallel_text, root: {parallel_text}, options: {{domains: [bible]}}}}\n"
        f"    more: {{manifest: {tmp_path / 'more'}}}\n"
    )
    words = read_training_words([corpus, str(tmp_path / "more")])
    assert words.find_unseen(["press", "one", "five", "seven"], "en") == [3]
    words = read_training_words([str(tmp_path / "recipe.yaml")])
    assert words.find_unseen(["press", "six", "bible"], "en") == [2]
    assert words.find_unseen(["bible", "ui"], "fr") == [1]
    (tmp_path / "speech.tsv").write_text("audio\tlang\na.wav\ten\n")
    for source, message in (
        (tmp_path / "speech.tsv", "speech.tsv: has no texts"),
        (tmp_path / "gone.tsv", "gone.tsv: no such file"),
        ("prompts6=x", "--training-texts prompts6=x: no corpus 'prompts6'; known are prompts5"),
    ):
        with pytest.raises(ValueError, match=message):
            read_training_words([str(source)])
