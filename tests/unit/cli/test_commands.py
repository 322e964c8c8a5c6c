# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The command line on a checkpoint with random weights: what it prints, what it reports, how it exits."""

import io
import json
import os
import runpy
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from helpers import REPOSITORY_ROOT, TINY_TEXTS, save_tiny_checkpoint

from mu2slam_hf import MSLAMConfig
from mu2slam_hf.cli import build_parser, main
from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.cli.files import read_text
from mu2slam_hf.data.manifests import read_manifest
from mu2slam_hf.evaluation.records.results import EvaluationResults

EXAMPLES = REPOSITORY_ROOT / "examples"
SCRIPTS = sorted((REPOSITORY_ROOT / "training_scripts").glob("*.py"))
MANIFEST, AUDIO = str(EXAMPLES / "manifest.tsv"), str(EXAMPLES / "es" / "vm-tooshort.opus")
SHORT = ["--max-new-tokens", "6"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def run(capsys, checkpoint):
    """Runs a command with the tiny checkpoint; returns exit status, lines of output, text of standard error."""

    def call(*arguments, model=True):
        status = main([str(a) for a in arguments] + (["--model", checkpoint] if model else []))
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err

    return call


def test_transcribe_prints_transcript_and_translation(run):
    file = EXAMPLES / "es" / "vm-tooshort.opus"
    status, lines, errors = run("transcribe", file, "--from", "es", "--to", "en,ru", *SHORT)
    assert status == 0
    assert errors == ""
    assert lines[0] == f"{file} (2.4 s)"
    assert [line.split()[0] for line in lines[1:]] == ["es", "en", "ru"]


def test_transcribe_says_that_it_guessed_the_language(run):
    status, lines, _ = run("transcribe", EXAMPLES / "es" / "vm-tooshort.opus", *SHORT)
    assert status == 0
    assert "language predicted" in lines[0]
    assert lines[1].split()[0] in {"en", "es", "fr", "it", "ru"}


def test_transcribe_reports_bad_files_finishes_the_rest_and_fails(run, tmp_path):
    good = EXAMPLES / "it" / "vm-leavemsg.opus"
    text, empty, cut = tmp_path / "text.wav", tmp_path / "empty.flac", tmp_path / "cut.opus"
    text.write_text("not audio at all")
    empty.write_bytes(b"")
    cut.write_bytes(good.read_bytes()[:700])
    missing = tmp_path / "missing.wav"
    status, lines, errors = run(
        "transcribe", text, good, empty, missing, good, cut, "--from", "it", "--batch-seconds", 3, *SHORT
    )
    assert status == 1
    assert [line for line in lines if line.startswith(str(good))] == [f"{good} (2.1 s)"] * 2
    for bad in (text, empty, missing, cut):
        (line,) = [line for line in errors.splitlines() if line.startswith(f"{bad}:")]
        assert len(line) > len(f"{bad}: ")


def test_transcribe_json_has_one_object_per_file(run, tmp_path):
    good, missing = EXAMPLES / "ru" / "vm-tooshort.opus", tmp_path / "missing.wav"
    status, lines, _ = run("transcribe", good, missing, "--json", "--from", "ru", "--to", "en", *SHORT)
    assert status == 1
    first, second = map(json.loads, lines)
    assert first["file"] == str(good)
    assert first["duration_seconds"] == pytest.approx(2.148, abs=0.01)
    assert first["language"] == "ru"
    assert first["language_probability"] is None
    assert isinstance(first["text"], str)
    assert list(first["segments"][0]["translations"]) == list(first["translations"]) == ["en"]
    assert second == {"file": str(missing), "error": second["error"]}
    assert "missing.wav" in second["error"]


def test_a_transcript_does_not_depend_on_the_files_beside_it(run):
    files = [EXAMPLES / lang / "vm-tooshort.opus" for lang in ("en", "es", "fr", "it", "ru")]
    _, together, _ = run("transcribe", *files, "--json", *SHORT)
    alone = [run("transcribe", file, "--json", *SHORT)[1][0] for file in files]
    assert together == alone


def test_unknown_language_is_one_line_with_the_known_ones(run):
    file = EXAMPLES / "es" / "vm-tooshort.opus"
    status, lines, errors = run("transcribe", file, "--from", "xx", *SHORT)
    assert status == 1
    assert lines == []
    assert len(errors.strip().splitlines()) == 1
    assert "xx" in errors
    assert "en" in errors


def test_translate_arguments_and_standard_input(run, monkeypatch):
    status, lines, _ = run("translate", "press one", "--from", "en", "--to", "fr", *SHORT)
    assert status == 0
    assert len(lines) == 1
    monkeypatch.setattr("sys.stdin", iter(["press one\n", "press one\n"]))
    status, from_input, _ = run("translate", "--from", "en", "--to", "fr", *SHORT)
    assert from_input == lines * 2


def test_translate_lowers_what_the_model_knows_only_in_lower_case_and_names_unknown_characters(run):
    known = run("translate", "press one", "--from", "en", "--to", "fr", "--json", *SHORT)
    shouted = run("translate", "PRESS, one!", "--from", "en", "--to", "fr", "--json", *SHORT)
    assert json.loads(shouted[1][0])["translations"] == json.loads(known[1][0])["translations"]
    assert known[2] == shouted[2] == ""
    _, _, errors = run("translate", "press 一", "--from", "en", "--to", "fr", *SHORT)
    assert errors.strip() == "characters that are not in the vocabulary: 一"


def test_translate_leaves_out_empty_texts_and_fails(run):
    status, lines, errors = run("translate", "press one", "  ", "--from", "en", "--to", "fr", *SHORT)
    assert status == 1
    assert len(lines) == 1
    assert "skipped 1 of 2 texts" in errors


def test_evaluate_prints_tables_and_writes_the_record(run, tmp_path):
    record, hypotheses = tmp_path / "results.json", tmp_path / "hypotheses.jsonl"
    status, lines, _ = run(
        *("evaluate", "--manifest", EXAMPLES / "manifest.tsv", "--languages", "en", "Spanish", "--condition", "both"),
        *("--results", record, "--hypotheses", hypotheses, "--num-beams", 2, *SHORT),
    )
    assert status == 0
    headers = [line for line in lines if line.startswith(("ASR", "AST", "MT"))]
    assert len(headers) == 6
    assert [line.split()[:3] for line in lines if line.startswith("LID")] == [["LID", "n", "accuracy"]]
    assert any(line.strip().startswith("chrF2|nrefs:1") for line in lines)
    results = EvaluationResults.load(record)
    assert {score.source_lang for score in results.find(task="asr", metric="wer")} == {"en", "es", "mean"}
    assert {(s.source_lang, s.target_lang) for s in results.find(task="ast", metric="chrf")} == {
        *[("en", "es"), ("es", "en"), ("mean", "mean"), ("en", "mean"), ("mean", "en")]
    }
    assert results.settings["generate"] == {"num_beams": 2, "max_new_tokens": 6}
    assert results.data["num_records"] == 4
    assert results.model["num_parameters"] > 0
    # The file has a line of settings, but not the four guesses of the language.
    assert len(hypotheses.read_text(encoding="utf-8").splitlines()) == 1 + results.settings["num_hypotheses"] - 4


def test_scores_as_json_lines(run, tmp_path):
    arguments = ["--manifest", MANIFEST, "--languages", "en", "--json", "--results", tmp_path / "results.json"]
    for command in (["evaluate", "--tasks", "asr", *SHORT], ["identify-language"]):
        status, lines, errors = run(command[0], *arguments, *command[1:])
        scores = [json.loads(line) for line in lines]
        assert status == 0 and {"task", "metric", "value", "source_lang"} <= set(scores[0])
        assert scores == json.loads((tmp_path / "results.json").read_text())["scores"]
        assert "written to" in errors


def test_translate_accepts_any_spelling_of_a_language(run):
    codes = run("translate", "press one", "--from", "en", "--to", "fr,es", "--json", *SHORT)
    names = run("translate", "press one", "--language", "English", "--target-lang", "French,spa", "--json", *SHORT)
    assert codes == names and list(json.loads(names[1][0])["translations"]) == ["fr", "es"]
    assert "--to German: the model does not support" in run("translate", "x", "--to", "German", *SHORT)[2]


def test_identify_language_and_retrieve_of_folders_lists_and_standard_input(run, tmp_path, monkeypatch):
    folder = tmp_path / "recordings"
    shutil.copytree(EXAMPLES / "it", folder / "it")
    (folder / "notes.txt").write_text("no recording")
    (tmp_path / "list").write_text(f"{EXAMPLES / 'ru' / 'vm-tooshort.opus'}\n")
    names = [str(folder / "it" / "vm-leavemsg.opus"), str(folder / "it" / "vm-tooshort.opus")]
    status, lines, _ = run("identify-language", folder, "--file-list", tmp_path / "list", "--json")
    assert status == 0
    assert [json.loads(line)["file"] for line in lines] == [*names, str(EXAMPLES / "ru" / "vm-tooshort.opus")]
    with Path(names[0]).open("rb") as file:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(file))
        status, lines, _ = run("identify-language", "-", "--json")
    assert status == 0 and json.loads(lines[0])["file"] == "-"
    texts = tmp_path / "texts"
    texts.write_text("press one\nleave a message\n")
    arguments = ["--score", "decoder-pmi", "--text-lang", "English", "--top", 1, "--json"]
    status, lines, _ = run("retrieve", folder, "--texts", texts, *arguments)
    assert status == 0 and [json.loads(line)["query"] for line in lines] == names
    assert (
        "--text-lang Klingon: unknown language"
        in run("retrieve", folder, "--texts", texts, "--text-lang", "Klingon")[2]
    )
    assert "--plot requires --corpus" in run("identify-language", names[0], "--plot", "x.png")[2]


def test_evaluate_compares_with_the_nearest_training_sentence(run, tmp_path):
    """A corpus whose training part holds the very sentences of the test part: the baseline must be perfect."""
    shutil.copytree(EXAMPLES, tmp_path / "corpus")
    rows = (EXAMPLES / "manifest.tsv").read_text(encoding="utf-8").splitlines()
    columns = rows[0].split("\t")
    header = ["id", "lang", "audio", "duration_s", "speaker", "kind", "mt", "text", "text_norm", "text_raw"]
    lines = []
    for row in rows[1:]:
        values = dict(zip(columns, row.split("\t"), strict=True))
        values |= {"kind": "prompt", "mt": "1", "text_norm": values["text"], "text_raw": values["text"]}
        lines.append("\t".join(values[name] for name in header))
    for split in ("train", "dev"):
        (tmp_path / "corpus" / f"{split}.tsv").write_text("\n".join(["\t".join(header), *lines]) + "\n", "utf-8")
    record = tmp_path / "results.json"
    status, lines, _ = run(
        *("evaluate", "--corpus", "prompts5", "--root", tmp_path / "corpus", "--tasks", "mt", "--limit", 1),
        *("--baseline-split", "train", "--results", record, *SHORT),
    )
    assert status == 0
    baseline = EvaluationResults.load(record).find(system="nearest", metric="chrf", source_lang="mean")
    assert {round(score.value) for score in baseline} == {100}
    assert any("chrf (nearest)" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            ([command, "--manifest", MANIFEST, "--languages", "de,pt"], f"in de or pt; {MANIFEST} has en, es")
            for command in ("evaluate", "identify-language", "retrieve")
        ),
        (["retrieve", AUDIO, "--texts", "t", "--score", "mean", "ctc"], "--score mean ctc: pass a single score"),
        (
            ["evaluate", "--corpus", "file"],
            "expects the name of a corpus (`mu2slam corpora`); for a file: --manifest file",
        ),
        (["evaluate", "--corpus", "prompts5"], "--corpus prompts5 requires its folder: --corpus prompts5=DIR"),
        (["align", AUDIO, "hola", "--output-dir", "x.tsv"], "x.tsv: expected a folder; for a single file use"),
        (["align", "folder", "hola"], "folder: is a folder; its transcripts are the .txt files"),
        (["align", "--manifest", MANIFEST, "--output-dir", "file"], "file: is a file; expected a folder"),
        (["evaluate", "--manifest", MANIFEST, "--results", "absent/x"], "--results absent/x: the folder absent does"),
        (["translate", "x", "--to", "fr", "--model", "./folder"], "no config.json"),
    ],
)
def test_values_that_cannot_be_used_are_named_in_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mu2slam: ") and message in line


def test_languages_may_have_commas_or_blanks_between_them():
    for languages in (["en,es"], ["en", "es"], ["en, es"]):
        for command in ("evaluate", "identify-language", "retrieve"):
            args = build_parser().parse_args([command, "--manifest", "m", "--languages", *languages])
            assert args.languages == ["en", "es"]


@pytest.mark.parametrize("arguments", [["identify-language", "gone.wav"], ["align", "gone.wav", "hola"]])
def test_without_a_usable_recording_no_model_is_loaded(capsys, monkeypatch, arguments):
    monkeypatch.setattr("mu2slam_hf.checkpoints.load_any_checkpoint", lambda *_, **__: pytest.fail("was loaded"))
    assert main(arguments) == 1 and capsys.readouterr().err == "gone.wav: no such file\n"
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {"file": "gone.wav", "error": "gone.wav: no such file"}


def test_files_that_are_missing_or_no_text_are_named(capsys, tmp_path):
    latin, missing = tmp_path / "latin.txt", tmp_path / "missing.txt"
    latin.write_bytes("año".encode("latin-1"))
    for arguments in (
        ["align", AUDIO],
        ["retrieve", AUDIO, "--texts"],
    ):
        assert main([*arguments, str(latin)]) == 1
        assert f"mu2slam: {latin}: not valid UTF-8" in capsys.readouterr().err
        assert main([*arguments, str(missing)]) == 1
        assert f"mu2slam: {missing}: no such file; expected " in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["char", "unigram"])
def test_train_a_text_tokenizer_on_texts_and_manifests(run, tmp_path, kind):
    from transformers import AutoTokenizer

    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(TINY_TEXTS * 4) + "\n", encoding="utf-8")
    status, lines, _ = run(
        *("train", "--set", "kind=text_tokenizer", "--set", f"files=[{texts}, {EXAMPLES / 'manifest.tsv'}]"),
        *("--set", f"tokenizer={kind}", "--set", "vocab_size=120", "--set", "num_speech_tokens=8"),
        *("--set", f"output={tmp_path / kind}"),
        model=False,
    )
    assert status == 0
    assert str(tmp_path / kind) in lines[-1]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / kind)
    assert type(tokenizer).__name__ == "Mu2SLAMTokenizer"
    ids = tokenizer(TINY_TEXTS[4])["input_ids"]
    assert min(i for i in ids if i > 63) >= 64 + 8
    assert tokenizer.decode(ids, skip_special_tokens=True) == TINY_TEXTS[4]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_say_what_is_wrong_in_one_line(script, monkeypatch, capsys, tmp_path):
    """As the command does, and in the same words: a missing file is no reason for a traceback."""
    missing = ["--recipe", "no/such.yaml"]
    if script.stem == "push_to_hub":
        missing = ["--checkpoint", str(tmp_path), "--facts", "x", "--folder", "y"]
    if script.stem == "train_language_model":
        missing = ["--output", "no/such", "--languages", "en", "--corpus", "parallel_text=no/such"]
    monkeypatch.setattr("sys.argv", [str(script), *missing])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{script.name}: {missing[1]}")


def test_errors_in_the_code_keep_their_traceback():
    with pytest.raises(KeyError):
        run_and_report(lambda: {}["absent"])


def test_a_missing_module_of_an_extra_says_which_extra(capsys, monkeypatch):
    requirements = ["torch>=2", "Sci-Py>=1; extra == 'lab'", "other; extra == 'test'", "sci-py>=1; extra == 'test'"]
    monkeypatch.setattr("mu2slam_hf.cli.errors.requires", lambda name: requirements)
    for module, advice in [("sci_py.stats", ": pip install 'mu2slam-hf[lab]'"), ("torch", ""), ("absent", "")]:

        def fail(module=module):
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)

        assert run_and_report(fail) == 1
        assert capsys.readouterr().err == f"mu2slam: No module named {module!r}{advice}\n"


def test_a_refused_configuration_is_one_line(capsys):
    """transformers' error about values of a configuration is no ValueError."""
    assert run_and_report(lambda: MSLAMConfig(num_speech_layers="many")) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mu2slam: ") and "num_speech_layers" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe", "a.wav", "--batch-seconds", "0"], "positive number of seconds"),
        (["translate", "a", "--to", "fr", "--batch-size", "0"], "at least 1"),
        (["translate", "x"], "--to"),
        (["translate", "x", "--to", "fr,,en"], "separated by commas"),
        (["evaluate"], "--corpus"),
        (["sing"], "unknown command 'sing'"),
        ([], "COMMAND"),
    ],
)
def test_wrong_usage_says_what_is_wanted(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_corpus_of_tones(run, tmp_path):
    command = ("tone-corpus", "--output", tmp_path / "tones", "--num", 3)
    status, lines, _ = run(*command, "--languages", "en,Russian", "--split", "dev", model=False)
    manifest = tmp_path / "tones" / "dev.tsv"
    assert status == 0 and lines == [f"3 sentences each in en, ru, written to {manifest}"]
    assert Counter(record.lang for record in read_manifest(manifest)) == {"en": 3, "ru": 3}
    assert "exists and is not an empty folder" in run(*command, model=False)[2]
    unknown = run("tone-corpus", "--output", tmp_path / "other", "--languages", "de", model=False)
    assert unknown[0] == 1 and "tone words exist for en, es, fr, it, ru, but not for de" in unknown[2]
    assert not (tmp_path / "other").exists()


def test_a_pipe_is_as_good_as_a_file():
    read, write = os.pipe()
    os.write(write, b"eins\nzwei\n")
    os.close(write)
    assert read_text(f"/dev/fd/{read}") == "eins\nzwei\n"
    os.close(read)


def test_languages_of_a_model(run):
    status, lines, _ = run("languages", model=False)
    assert status == 0 and [line.split()[:2] for line in lines[1:]] == [
        *(["en", "English"], ["es", "Spanish"], ["fr", "French"], ["it", "Italian"], ["ru", "Russian"])
    ]
    assert all(line.endswith("transcribe, translate from and into, identify") for line in lines[1:])
    _, lines, _ = run("languages", "--json", model=False)
    assert json.loads(lines[1])["uses"] == ["transcribe", "translate from and into", "identify"]


def test_a_text_that_is_not_that_of_the_recording_is_warned_of(run):
    _, _, errors = run("align", AUDIO, "i think that this is wrong", "--from", "en", model=False)
    assert "the text hardly matches the recording" in errors
    text = run("transcribe", AUDIO, "--from", "es", "-f", "txt", model=False)[1][0]
    assert "hardly" not in run("align", AUDIO, text, "--from", "es", model=False)[2]


def test_train_takes_one_recipe_with_or_without_its_option(run, monkeypatch):
    from mu2slam_hf.recipes.runs import registry

    loaded = []
    monkeypatch.setattr(registry, "load_runs", lambda recipe, overrides: loaded.append(recipe) or [])
    assert (
        run("train", "a.yaml", model=False)[0] == run("train", "--recipe", "a.yaml", model=False)[0] == 0
        and loaded == ["a.yaml"] * 2
    )
    assert (
        "expected one recipe, got a.yaml and --recipe b.yaml"
        in run("train", "a.yaml", "--recipe", "b.yaml", model=False)[2]
    )


def test_the_package_is_a_command():
    command = [sys.executable, "-m", "mu2slam_hf", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("mu2slam-hf ")


def test_tensorboard_without_its_package(monkeypatch):
    from mu2slam_hf.recipes.runs.run import choose_integrations

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert choose_integrations(None) == choose_integrations([]) == [] and choose_integrations(["wandb"]) == ["wandb"]
    with pytest.raises(ImportError, match=r"pip install 'mu2slam-hf\[train\]'"):
        choose_integrations(["tensorboard"])
