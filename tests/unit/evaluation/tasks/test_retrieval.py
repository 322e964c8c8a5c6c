# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Ranks counted against us, chance in closed form, and retrieval of real recordings by the shipped checkpoint."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from helpers import REPOSITORY_ROOT, make_tiny_config, make_tiny_pair, make_tiny_processor

from mu2slam_hf import MSLAMConfig, MSLAMModel, Mu2SLAMForCTC, SpeechTextEncoder, load_default, read_manifest
from mu2slam_hf.cli import main
from mu2slam_hf.data.audio import load_audio
from mu2slam_hf.evaluation.records.results import EvaluationResults
from mu2slam_hf.evaluation.scores.intervals import Bootstrap
from mu2slam_hf.evaluation.tasks import pair_scores
from mu2slam_hf.evaluation.tasks.pair_scores import SCORES, compute_ctc_scores, compute_decoder_scores, score_pairs
from mu2slam_hf.evaluation.tasks.retrieval import (
    chance_figures,
    evaluate_retrieval,
    format_retrieval,
    rank_candidates,
    summarize_ranks,
)
from mu2slam_hf.evaluation.tasks.retrieval_layers import format_layers, save_layers_plot
from mu2slam_hf.evaluation.tasks.retrieved_texts import (
    choose_candidates,
    recall_value,
    score_retrieved_texts,
    sum_by_sentence,
)
from mu2slam_hf.inference.similarity import cosine_similarities, csls_scores

EXAMPLES = REPOSITORY_ROOT / "examples"
RECORDS = read_manifest(EXAMPLES / "manifest.tsv")


def test_ranks_with_ties_against_us():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [1.0, 5.0, 2.0], [-math.inf, -math.inf, -math.inf]])
    relevant = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], dtype=torch.bool)
    ranks = rank_candidates(scores, relevant)
    assert ranks.tolist() == [1, 3, 2, 3]
    figures = summarize_ranks(ranks, 3)
    assert figures.recall == {1: 25.0, 5: 100.0, 10: 100.0}
    assert figures.mean_rank == 2.25 and figures.median_rank == 2.5 and figures.num_candidates == 3
    # Two right candidates with one score do not stand before one another.
    assert rank_candidates(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)).tolist() == [1]


def test_texts_that_are_retrieved_have_scores_by_hand():
    scores = torch.tensor([[3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.0, 5.0, 2.0]])
    relevant = torch.tensor([[1, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=torch.bool)
    texts = ["a b", "c d e f", "g"]
    chosen = choose_candidates(scores, relevant)
    assert chosen[0] == 0 and chosen[1] != 1 and chosen[2] == 1
    # Two readers of one sentence: one is answered right, the other by four words instead of two.
    retrieved, wanted = ["a b", "a b", "c d e f"], ["a b", "c d e f", "a b"]
    values = score_retrieved_texts(retrieved, wanted, text_lang="en", metrics=("wer",), bootstrap=Bootstrap())
    assert values["wer"].value == pytest.approx(100.0 * (0 + 4 + 4) / (2 + 4 + 2))
    assert sum_by_sentence([[0.0, 2.0], [4.0, 4.0], [4.0, 2.0]], wanted) == [[4.0, 4.0], [4.0, 4.0]]
    assert values["wer"].interval_low == values["wer"].interval_high == 100.0
    ranks = torch.tensor([1, 2, 3, 1])
    recall = recall_value(ranks, ["a", "b", "a", "b"], 1, "by hand", Bootstrap())
    assert (recall.value, recall.interval_low, recall.interval_high) == (50.0, 50.0, 50.0)
    alone = recall_value(ranks, ["a", "b", "c", "d"], 1, "by hand", Bootstrap())
    assert alone.interval_low < 50.0 < alone.interval_high
    bleu = score_retrieved_texts(texts, texts, text_lang="en", metrics=("bleu", "chrf"))
    assert bleu["chrf"].value == pytest.approx(100.0)


def test_within_each_language_is_the_same_as_together_but_for_the_mean():
    pair = make_tiny_pair()
    options = {"scores": ["ctc"], "untrained": False}
    together = evaluate_retrieval(*pair, RECORDS, **options)
    apart = evaluate_retrieval(*pair, RECORDS, within_language=True, bootstrap=Bootstrap(num_samples=40), **options)
    assert not apart.find(source_lang="all")
    for lang in ("en", "it"):
        for metric in ("recall@1", "median_rank", "wer"):
            wanted = {"source_lang": lang, "metric": metric, "system": "ctc", "task": "retrieval_speech_to_text"}
            (one,), (other,) = together.find(**wanted), apart.find(**wanted)
            assert one.value == other.value
            assert (other.interval_low is None) == (metric == "median_rank")
    mean = apart.find(source_lang="mean", metric="recall@1", system="chance", task="retrieval_text_to_speech")[0]
    values = [s.value for s in apart.find(metric="recall@1", system="chance", task=mean.task) if s is not mean]
    assert mean.value == pytest.approx(sum(values) / len(values)) and mean.num_items == len(values) == 5
    assert "5 languages" in format_retrieval(apart)


def test_what_has_no_rank_is_refused():
    relevant = torch.eye(2, dtype=torch.bool)
    with pytest.raises(ValueError, match="NaN"):
        rank_candidates(torch.full((2, 2), math.nan), relevant)
    with pytest.raises(ValueError, match="Query 1 has no correct candidate"):
        rank_candidates(torch.zeros(2, 2), torch.tensor([[True, False], [False, False]]))
    with pytest.raises(ValueError, match="Expected scores"):
        rank_candidates(torch.zeros(2, 3), relevant)


@pytest.mark.parametrize("num_right", [1, 2, 3])
def test_chance_is_the_mean_over_all_orders(num_right):
    relevant = torch.zeros(1, 6, dtype=torch.bool)
    relevant[0, :num_right] = True
    orders = torch.tensor(list(itertools.permutations(range(6)))).double()
    ranks = rank_candidates(orders, relevant.expand(len(orders), -1))
    expected, found = summarize_ranks(ranks, 6), chance_figures(relevant)
    assert found.recall == pytest.approx(expected.recall)
    assert found.mean_rank == pytest.approx(expected.mean_rank)


def test_scores_of_the_shipped_checkpoint_find_the_texts_of_the_examples():
    pair = load_default()
    audio = [record.audio for record in RECORDS]
    texts = [record.text for record in RECORDS]
    own = [name for name in SCORES if name != "dot"]
    scores = score_pairs(*pair, audio, texts, own, text_languages=[record.lang for record in RECORDS])
    assert list(scores) == own
    assert all(values.shape == (8, 8) for values in scores.values())
    right = torch.arange(8)
    for name in ("ctc", "ctc-pmi", "decoder-pmi"):
        assert torch.equal(scores[name].argmax(dim=1), right) and torch.equal(scores[name].argmax(dim=0), right)
    assert (scores["mean"].argmax(dim=1) == right).sum() >= 4
    # The likelihood of a text is that of the whole text: a part of it and a foreign one are less likely.
    some = compute_ctc_scores(
        *pair, audio[1:2], [texts[1], texts[1].rsplit(" ", 1)[0], texts[0], "日本", "press " * 99]
    )
    assert some[0].argmax() == 0 and some[0, 3] == some[0, 4] == -math.inf


def test_likelihoods_do_not_depend_on_the_other_items():
    pair = make_tiny_pair()
    audio, texts = [record.audio for record in RECORDS[:3]], [record.text for record in RECORDS[:3]]
    together = score_pairs(*pair, audio, texts, ["ctc"])["ctc"]
    alone = score_pairs(*pair, audio[1:2], texts[2:], ["ctc"])["ctc"]
    torch.testing.assert_close(alone[0, 0], together[1, 2], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="unknown scores"):
        score_pairs(*pair, audio, texts, ["magic"])
    with pytest.raises(ValueError, match="has characters of the vocabulary"):
        compute_ctc_scores(*pair, audio, ["日本"])


def test_scores_of_vectors_are_csls_of_centred_vectors():
    pair = make_tiny_pair()
    audio, texts = [record.audio for record in RECORDS[:4]], [record.text for record in RECORDS]
    encoder = SpeechTextEncoder(*pair)
    speech, text = encoder.encode_speech(audio).double(), encoder.encode_text(texts).double()
    expected = csls_scores(cosine_similarities(speech - speech.mean(dim=0), text - text.mean(dim=0)))
    torch.testing.assert_close(score_pairs(*pair, audio, texts, ["mean"])["mean"], expected)
    # Nothing would be left of a single vector without its mean; the texts keep their order by cosine.
    alone = score_pairs(*pair, audio[:1], texts, ["mean"])["mean"]
    cosines = cosine_similarities(speech[:1], text - text.mean(dim=0))
    assert alone.argsort(dim=1).tolist() == cosines.argsort(dim=1).tolist()
    assert len(set(alone[0].tolist())) == len(texts)


def test_scores_over_their_mean_need_several_recordings():
    pair = make_tiny_pair()
    audio, texts = [record.audio for record in RECORDS], [record.text for record in RECORDS]
    with pytest.raises(ValueError, match="ctc-pmi compares the recordings .* got 1: .* use the scores ctc or mean"):
        score_pairs(*pair, audio[:1], texts, ["ctc", "ctc-pmi"])
    scores = score_pairs(*pair, audio, texts, ["ctc", "ctc-pmi"])
    # The mean of the ratios is 1 for every text, which keeps its order of recordings.
    torch.testing.assert_close(scores["ctc-pmi"].exp().mean(dim=0), torch.ones(len(texts), dtype=torch.float64))
    assert torch.equal(scores["ctc-pmi"].argsort(dim=0), scores["ctc"].argsort(dim=0))


def test_scores_of_the_decoder_equal_a_loop(monkeypatch):
    model, processor = make_tiny_pair()
    monkeypatch.setattr(pair_scores, "_DECODED_TEXTS", 3)
    audio, texts = [record.audio for record in RECORDS[:2]], [record.text for record in RECORDS]
    languages = [record.lang for record in RECORDS]
    scores = compute_decoder_scores(model, processor, audio, texts, languages)
    for row, recording in enumerate(audio):
        for column, (text, lang) in enumerate(zip(texts, languages, strict=True)):
            speech = [load_audio(recording)]
            inputs = processor(audio=speech, text=[text], target_lang=lang, sampling_rate=16000)
            with torch.no_grad():
                loss = model(**inputs).loss
            expected = -float(loss) * inputs["labels"].numel()
            assert float(scores[row, column]) == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ValueError, match="requires the languages of the texts"):
        score_pairs(model, processor, audio, texts, ["decoder-pmi"])
    with pytest.raises(ValueError, match="has no decoder; use the scores mean or ctc"):
        compute_decoder_scores(Mu2SLAMForCTC.from_conditional_generation(model), processor, audio, texts, languages)


def test_translations_are_looked_for_among_translations():
    """Recordings in all languages but that of the texts; the same text twice is one candidate."""
    pair = make_tiny_pair()
    records = [
        *(replace(record, translations={"it": f"testo {number // 2}"}) for number, record in enumerate(RECORDS[:4])),
        *(record for record in RECORDS if record.lang == "it"),
    ]
    results = evaluate_retrieval(*pair, records, scores=["mean", "decoder-pmi"], text_lang="it", untrained=False)
    (score,) = results.find(task="retrieval_speech_to_text", metric="recall@1", system="chance", source_lang="all")
    assert score.value == 50.0 and score.num_items == 4 and score.target_lang == "it"
    assert {one.system for one in results.scores} == {"chance", "mean", "decoder-pmi"}
    with pytest.raises(ValueError, match="audio and a translation into de, got 0"):
        evaluate_retrieval(*pair, records, text_lang="de")


def test_evaluation_has_both_directions_chance_and_an_untrained_model(tmp_path):
    pair = make_tiny_pair()
    results = evaluate_retrieval(*pair, RECORDS, scores=["mean", "ctc"], model_name="tiny")
    chance = results.find(task="retrieval_speech_to_text", metric="recall@1", system="chance", source_lang="all")
    assert [score.value for score in chance] == [12.5]
    assert {score.system for score in results.scores} == {
        "chance",
        *("mean", "ctc", "untrained:mean", "untrained:ctc"),
    }
    assert {score.source_lang for score in results.scores} == {"all", "en", "es", "fr", "it", "ru"}
    assert {score.task for score in results.scores} == {"retrieval_speech_to_text", "retrieval_text_to_speech"}
    results.save(tmp_path / "r.json")
    assert EvaluationResults.load(tmp_path / "r.json") == results
    table = format_retrieval(results).splitlines()
    assert table[0].startswith("speech to text  recall@1") and "[8 queries, 8 candidates, ties against]" in table[0]
    with pytest.raises(ValueError, match="at least two records"):
        evaluate_retrieval(*pair, RECORDS[:1])


def test_command_answers_reports_bad_files_and_evaluates(capsys, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(dict.fromkeys(record.text for record in RECORDS)) + "\n", encoding="utf-8")
    file, missing = str(EXAMPLES / "ru" / "vm-tooshort.opus"), str(tmp_path / "missing.wav")
    assert main(["retrieve", file, missing, "--texts", str(texts), "--top", "2"]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0] == file and lines[1].endswith("ваше сообщение слишком короткое") and len(lines) == 3
    assert "missing.wav" in captured.err
    folder = str(EXAMPLES / "it")
    assert main(["retrieve", folder, "--texts", str(texts), "--reverse", "--top", "1", "--json"]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    best = {answer["query"]: answer["answers"][0]["answer"] for answer in answers}
    assert best["il messaggio è troppo corto"].endswith("vm-tooshort.opus")
    assert best["premere cinque per lasciare un messaggio"].endswith("vm-leavemsg.opus")
    results = tmp_path / "pair_scores.json"
    evaluation = ["--manifest", str(EXAMPLES / "manifest.tsv"), "--score", "ctc", "--no-untrained"]
    assert main(["retrieve", *evaluation, "--results", str(results)]) == 0
    (score,) = EvaluationResults.load(results).find(
        task="retrieval_speech_to_text", metric="recall@1", system="ctc", source_lang="all"
    )
    assert score.value == 100.0
    without_language = [file, "--texts", str(texts), "--score", "decoder-pmi"]
    for arguments in ([], [file], [file, "--manifest", "x.tsv"], without_language):
        assert main(["retrieve", *arguments]) == 1


def test_long_recordings(tmp_path, capsys):
    """By CTC, texts are found in a recording of several windows; the decoder says that it is too long."""
    pair = load_default()
    texts = [record.text for record in RECORDS if record.lang == "it"]
    waves = [load_audio(record.audio) for record in RECORDS if record.lang == "it"]
    pause = np.zeros(12000, dtype=np.float32)
    long = np.concatenate([part for _ in range(16) for part in (*waves, pause)])
    assert len(long) > 60 * 16000
    whole = " ".join(texts * 16)
    scores = compute_ctc_scores(*pair, [long], [whole, " ".join(texts * 15), " ".join(texts[::-1] * 16)])
    assert scores[0].argmax() == 0
    with pytest.raises(ValueError, match=r"audio\[1\] is longer than 60 s.*the scores ctc, ctc-pmi or mean"):
        compute_decoder_scores(*pair, [waves[0], long], texts, ["it", "it"])
    file, lines = tmp_path / "long.wav", tmp_path / "texts.txt"
    soundfile.write(file, long, 16000)
    lines.write_text("\n".join([whole, texts[0]]), encoding="utf-8")
    assert main(["retrieve", str(file), str(tmp_path / "missing.wav"), "--texts", str(lines), "--top", "1"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].endswith(whole) and "missing.wav" in captured.err
    assert main(["retrieve", str(file), "--texts", str(lines), "--score", "decoder-pmi", "--text-lang", "it"]) == 1
    assert f"{file}: " in (errors := capsys.readouterr().err) and "is longer than 60 s" in errors
    # The others are used, as with recordings that cannot be read.
    short = [str(tmp_path / "short.wav"), str(tmp_path / "other.wav")]
    for name, wave in zip(short, waves, strict=True):
        soundfile.write(name, wave, 16000)
    arguments = ["--texts", str(lines), "--score", "decoder-pmi", "--text-lang", "it"]
    assert main(["retrieve", str(file), *short, *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{short[0]}\n") and f"{file}: " in captured.err


def make_tiny_mslam_pair():
    processor = make_tiny_processor()
    encoder_config = make_tiny_config().encoder_config
    torch.manual_seed(0)
    sizes = {"num_speech_tokens": 16, "text_token_offset": 80, "vocab_size": len(processor.tokenizer)}
    config = MSLAMConfig(encoder_config=encoder_config, num_speech_layers=1, **sizes)
    return MSLAMModel(config).eval(), processor


@pytest.mark.parametrize("make_pair", [make_tiny_pair, make_tiny_mslam_pair])
def test_every_layer_is_scored_as_by_itself(make_pair, tmp_path):
    """In mSLAM, text has no states before the shared layers."""
    model, processor = make_pair()
    options = {"scores": ["mean"], "untrained": False}
    results = evaluate_retrieval(model, processor, RECORDS, layer="all", **options)
    texts = list(dict.fromkeys(record.text for record in RECORDS))
    relevant = torch.tensor([[record.text == text for text in texts] for record in RECORDS])
    first = getattr(model.config, "num_speech_layers", 0)
    lines = format_layers(results).splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == [str(n) for n in range(first, len(lines) - 4 + first)]
    for layer in (first, first + 1):
        encoder = SpeechTextEncoder(model, processor, layer=layer)
        speech = encoder.encode_speech([record.audio for record in RECORDS]).double()
        text = encoder.encode_text(texts).double()
        centred = cosine_similarities(speech - speech.mean(dim=0), text - text.mean(dim=0))
        expected = {"cosine": cosine_similarities(speech, text), "centred": centred, "csls": csls_scores(centred)}
        for name, scores in expected.items():
            for direction, chosen, right in (
                ("speech_to_text", scores, relevant),
                ("text_to_speech", scores.T, relevant.T),
            ):
                wanted = {"task": f"retrieval_{direction}", "source_lang": "all", "system": f"layer {layer}: {name}"}
                figures = summarize_ranks(rank_candidates(chosen, right), chosen.shape[1])
                (recall,) = results.find(metric="recall@1", **wanted)
                (rank,) = results.find(metric="mean_rank", **wanted)
                assert (recall.value, rank.value) == pytest.approx((figures.recall[1], figures.mean_rank))
        # CSLS of centred vectors is what `mean` ranks by.
        (csls,) = results.find(
            task="retrieval_speech_to_text", metric="mean_rank", source_lang="all", system=f"layer {layer}: csls"
        )
        own = evaluate_retrieval(model, processor, RECORDS, layer=layer, **options)
        (mean,) = own.find(task="retrieval_speech_to_text", metric="mean_rank", source_lang="all", system="mean")
        assert csls.value == mean.value
    save_layers_plot(results, tmp_path / "layers.svg")
    assert "csls" in (tmp_path / "layers.svg").read_text()
    with pytest.raises(ValueError, match="the scores must be mean"):
        evaluate_retrieval(model, processor, RECORDS, layer="all", scores=["ctc"])


def test_the_command_compares_layers_of_the_checkpoint(tmp_path, capsys):
    manifest = str(EXAMPLES / "manifest.tsv")
    plot, record = tmp_path / "layers.png", tmp_path / "layers.json"
    assert (
        main(["retrieve", "--manifest", manifest, "--layer", "all", "--plot", str(plot), "--results", str(record)])
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == [*map(str, range(13)), "untrained", "chance"]
    # Speech and text meet in the layers above those of the CTC transcript.
    recall = {line.split()[0]: [float(cell) for cell in line.split()[1:]] for line in lines[2:-1]}
    assert min(recall["12"]) > max(recall["0"]) and min(recall["12"]) > max(recall["untrained"])
    assert plot.stat().st_size > 1000 and EvaluationResults.load(record).settings["layer"] == "all"
    for more, message in [
        (["--layer", "all", "--score", "ctc"], "--layer all compares pooled states"),
        (["--plot", str(plot)], "pass --layer all"),
    ]:
        assert main(["retrieve", "--manifest", manifest, *more]) == 1
        assert message in capsys.readouterr().err
    assert main(["retrieve", str(EXAMPLES / "es"), "--texts", "x.txt", "--layer", "all"]) == 1
    assert "pass --corpus or --manifest" in capsys.readouterr().err
