# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""What `generate` promises, for speech with and without CTC and for text; transformers ships no such tests."""

import logging
from typing import NamedTuple

import pytest
import torch
from helpers import REPOSITORY_ROOT
from tiny_models import (
    LANGUAGES,
    NUM_SPEECH,
    TEXT_OFFSET,
    VOCABULARY,
    speech_batch,
    text_ids,
    tiny_config,
    tiny_model,
    writing_model,
)
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, MaxLengthCriteria
from transformers.generation.streamers import BaseStreamer
from transformers.modeling_outputs import BaseModelOutput

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMForConditionalGeneration, load_default
from mu2slam_hf.data.audio import load_audio

STEPS, ROWS = 10, 3
PAD, BOS, EOS = 0, 1, 2
SPEECH_IDS = set(range(64, 64 + NUM_SPEECH))
TEXT_IDS = set(range(TEXT_OFFSET, VOCABULARY))
GREEDY, BEAMS, SAMPLING = {}, {"num_beams": 3}, {"do_sample": True, "temperature": 3.0}


@pytest.fixture(scope="module")
def model() -> Mu2SLAMForConditionalGeneration:
    """Random weights that write other tokens for other sources, positions and languages, and sometimes end."""
    model = writing_model(seed=5, end_bias=-0.1)
    with torch.no_grad():
        model.model.encoder.embed_languages.weight *= 5
    return model


class Case(NamedTuple):
    """A source of three rows of different lengths, each also on its own, and the options of its task."""

    batch: dict[str, torch.Tensor]
    rows: list[dict[str, torch.Tensor]]
    options: dict


@pytest.fixture(params=["speech", "speech-ctc", "text"])
def case(request) -> Case:
    kind, *ctc = request.param.split("-")
    if kind == "speech":
        name, batch = "input_features", speech_batch([90, 41, 66], garbage=1e9)
        batch["input_features"] += torch.randn(ROWS, 1, 80, generator=torch.Generator().manual_seed(5))
    else:
        mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] * 2 + [0] * 6])
        name, batch = "input_ids", {"input_ids": text_ids(ROWS, 8), "attention_mask": mask}
    lengths = batch["attention_mask"].sum(-1)
    rows = [{name: batch[name][row : row + 1, : lengths[row]]} for row in range(ROWS)]
    language = "en" if ctc else "fr"
    return Case(
        batch, rows, {"target_lang": language, **({"source_lang": language, "ctc_weight": 0.4} if ctc else {})}
    )


@torch.no_grad()
def generate(model, case: Case, row: int | None = None, **options):
    """All rows, or one of them without padding, at most `STEPS` tokens unless the options say otherwise."""
    source = case.batch if row is None else case.rows[row]
    return model.generate(**source, **case.options, **{"max_new_tokens": STEPS, **options})


def written(ids: torch.Tensor) -> list[int]:
    """A row up to its first `</s>`."""
    row = ids.tolist()
    return row[: row.index(EOS) + 1] if EOS in row else row


@torch.no_grad()
def test_greedy_equals_a_loop_over_whole_prefixes(model, case):
    if "ctc_weight" in case.options:
        case.options["ctc_weight"] = 0.0
    banned = torch.tensor([token not in TEXT_IDS | {EOS} for token in range(VOCABULARY)])
    languages = {"decoder_language_ids": torch.full((ROWS,), LANGUAGES.index(case.options["target_lang"]))}
    if "source_lang" in case.options:
        languages["language_ids"] = languages["decoder_language_ids"]
    ids, ended = torch.full((ROWS, 1), BOS), torch.zeros(ROWS, dtype=torch.bool)
    while ids.shape[1] <= STEPS and not ended.all():
        logits = model(**case.batch, decoder_input_ids=ids, **languages, use_cache=False).logits
        best = logits[:, -1].masked_fill(banned, -float("inf")).argmax(-1)
        ids = torch.cat([ids, torch.where(ended, PAD, best)[:, None]], dim=1)
        ended |= best == EOS
    assert torch.equal(generate(model, case), ids)
    assert torch.equal(generate(model, case, num_beams=1, do_sample=False), ids)


@pytest.mark.parametrize("options", [GREEDY, BEAMS])
def test_cache_kinds_agree(model, case, options):
    dynamic = generate(model, case, **options)
    assert torch.equal(generate(model, case, **options, use_cache=False), dynamic)
    assert torch.equal(generate(model, case, **options, cache_implementation="static"), dynamic)


@pytest.mark.slow
def test_compiled_static_cache_agrees(case):
    model = tiny_model()
    expected = generate(model, case)
    model.forward = torch.compile(model.forward, fullgraph=True)
    assert torch.equal(generate(model, case, cache_implementation="static"), expected)


@pytest.mark.parametrize("options", [GREEDY, BEAMS])
def test_a_row_alone_equals_the_row_in_a_batch(model, case, options):
    together = generate(model, case, **options)
    for row in range(ROWS):
        assert written(generate(model, case, row, **options)[0]) == written(together[row])


@pytest.mark.parametrize("beams", [1, 3])
def test_scores_are_those_of_decoder_and_ctc(model, case, beams):
    weight = case.options.get("ctc_weight", 0.0)
    options = {"num_beams": beams, "num_return_sequences": beams, "length_penalty": 0.0}  # sums, not means
    if weight:
        options["max_new_tokens"] = None  # the default limit ends every row, so that CTC reads whole transcripts
    out = generate(model, case, **options, return_dict_in_generate=True, output_scores=True)
    repeated = {name: value.repeat_interleave(beams, dim=0) for name, value in case.batch.items()}
    target = torch.full((ROWS * beams,), LANGUAGES.index(case.options["target_lang"]))
    languages = {"decoder_language_ids": target, "language_ids": target if weight else torch.zeros_like(target)}
    with torch.no_grad():
        outputs = model(**repeated, decoder_input_ids=out.sequences[:, :-1], **languages)
    logits = outputs.logits
    if weight or beams == 1:  # beam search alone normalizes over what is ruled out, too
        allowed = torch.tensor([token in TEXT_IDS | {EOS} for token in range(VOCABULARY)])
        logits = logits.masked_fill(~allowed, -float("inf"))
    log_probs, expected = logits.log_softmax(-1), []
    for row, ids in enumerate(out.sequences):
        tokens = written(ids)[1:]
        expected.append((1 - weight) * log_probs[row, range(len(tokens)), tokens].sum())
        if weight:
            frames = outputs.encoder_attention_mask[row].sum()
            steps, text = outputs.ctc_logits[row, :frames].log_softmax(-1).double(), torch.tensor(tokens[:-1])
            lengths = frames[None], torch.tensor([len(text)])
            expected[-1] -= weight * torch.nn.functional.ctc_loss(
                steps[:, None], text[None], *lengths, reduction="sum"
            )
    if beams == 1:
        steps = model.compute_transition_scores(out.sequences, out.scores, normalize_logits=not weight)
        real = torch.tensor(
            [[step < len(written(ids)) - 1 for step in range(steps.shape[1])] for ids in out.sequences]
        )
        actual = steps.masked_fill(~real, 0.0).sum(-1)
    else:
        actual = out.sequences_scores
        per_item = actual.view(ROWS, beams)
        assert (per_item[:, :-1] >= per_item[:, 1:]).all()
    torch.testing.assert_close(actual, torch.stack(expected), rtol=1e-4, atol=1e-3, check_dtype=False)


def test_n_best_lists_of_beams(model, case):
    best = generate(model, case, num_beams=4)
    several = generate(model, case, num_beams=4, num_return_sequences=4)
    assert several.shape[0] == 4 * ROWS
    for row in range(ROWS):
        texts = [tuple(written(ids)) for ids in several[4 * row : 4 * row + 4]]
        assert len(set(texts)) == 4 and list(texts[0]) == written(best[row])
    with pytest.raises(ValueError, match="num_return_sequences"):
        generate(model, case, num_return_sequences=2)


def test_sampling_is_reproducible_and_groups_its_rows(model, case):
    def sample(seed):
        torch.manual_seed(seed)
        return generate(model, case, **SAMPLING, num_return_sequences=4)

    first, other = sample(1), sample(2)
    assert torch.equal(first, sample(1)) and not torch.equal(first, other)
    assert first.shape[0] == 4 * ROWS and len({tuple(row) for row in first.tolist()}) > ROWS
    greedy = generate(model, case)
    only_best = generate(model, case, do_sample=True, top_k=1, num_return_sequences=2)
    assert torch.equal(only_best, greedy.repeat_interleave(2, dim=0))


@pytest.mark.parametrize("options", [GREEDY, SAMPLING])
def test_a_streamer_receives_what_is_returned(model, case, options):
    class Columns(BaseStreamer):
        """Keeps one column of tokens per step."""

        def __init__(self):
            self.received, self.ended = [], False

        def put(self, value):
            self.received.append(value.view(ROWS))

        def end(self):
            self.ended = True

    streamer = Columns()
    ids = generate(model, case, **options, streamer=streamer)
    assert streamer.ended and torch.equal(torch.stack(streamer.received, dim=1), ids)
    with pytest.raises(ValueError, match="streamer"):
        generate(model, case, **BEAMS, streamer=Columns())


def test_shapes_of_what_generation_reports(case):
    model = tiny_model()
    model.set_attn_implementation("eager")
    flags = {f"output_{name}": True for name in ("scores", "logits", "hidden_states", "attentions")}
    lengths = {"max_new_tokens": 4, "min_new_tokens": 4}
    for beams in (1, 2):
        out = generate(model, case, **lengths, **flags, return_dict_in_generate=True, num_beams=beams)
        width, heads, layers, rows = 64, 4, 2, ROWS * beams
        positions = out.encoder_hidden_states[0].shape[1]
        assert len(out.scores) == len(out.logits) == len(out.decoder_hidden_states) == 4
        assert all(step.shape == (rows, VOCABULARY) for step in (*out.scores, *out.logits))
        assert [state.shape for state in out.encoder_hidden_states] == [(ROWS, positions, width)] * (layers + 1)
        assert [one.shape for one in out.encoder_attentions] == [(ROWS, heads, positions, positions)] * layers
        for step in range(4):
            assert [one.shape for one in out.decoder_hidden_states[step]] == [(rows, 1, width)] * (layers + 1)
            assert [one.shape for one in out.decoder_attentions[step]] == [(rows, heads, 1, step + 1)] * layers
            assert [one.shape for one in out.cross_attentions[step]] == [(rows, heads, 1, positions)] * layers
        if beams == 1:
            assert torch.equal(torch.stack([step.argmax(-1) for step in out.scores], dim=1), out.sequences[:, 1:])


@pytest.mark.parametrize("options", [GREEDY, BEAMS, SAMPLING])
def test_only_the_target_modality_is_written(model, case, options):
    text = generate(model, case, **options, max_new_tokens=30)
    assert set(text.flatten().tolist()) <= TEXT_IDS | {PAD, BOS, EOS}
    speech = generate(model, case, **options, max_new_tokens=30, target_modality="speech")
    assert speech[:, 0].tolist() == [BOS] * ROWS
    tokens = {token for ids in speech for token in written(ids)[1:]}
    assert tokens & SPEECH_IDS and tokens <= SPEECH_IDS | {EOS}


def test_modality_follows_from_the_task(model):
    ids = model.generate(input_ids=text_ids(1, 5), target_lang="fr", task="tts", max_new_tokens=5)
    assert set(ids[0, 1:].tolist()) <= SPEECH_IDS | {EOS}


def test_rows_end_and_are_filled(model, case):
    class EndFirstRowThird(LogitsProcessor):
        """Makes the first row end with its third token, all others never."""

        def __call__(self, input_ids, scores):
            scores = scores.clone()
            scores[:, EOS] = -float("inf")
            if input_ids.shape[1] == 3:
                scores[0] = -float("inf")
                scores[0, EOS] = 0.0
            return scores

    ids = generate(model, case, max_new_tokens=6, logits_processor=LogitsProcessorList([EndFirstRowThird()]))
    assert ids[0, 3] == EOS and (ids[0, 4:] == PAD).all() and (ids[1:] != EOS).all()
    assert ids.shape == (ROWS, 7)


@pytest.mark.parametrize("options", [GREEDY, BEAMS, SAMPLING])
def test_lengths_that_are_asked_for(model, case, options):
    ids = generate(model, case, **options, min_new_tokens=6, max_new_tokens=8)
    assert 7 <= ids.shape[1] <= 9 and (ids[:, 1:6] != EOS).all()
    assert generate(model, case, **options, stopping_criteria=[MaxLengthCriteria(3)]).shape[1] <= 3


def test_length_is_bounded_by_the_source_and_not_by_a_default(case, caplog, monkeypatch):
    model = tiny_model()
    with torch.no_grad():
        model.lm_head.bias[EOS] = -1e4
        positions = model.get_encoder()(**case.batch).attention_mask.sum(-1)
    case.options.pop("ctc_weight", None)
    ids = generate(model, case, max_new_tokens=None)
    for row, limit in zip(ids, (1.5 * positions).long() + 32, strict=True):
        assert len(written(row)) == limit + 1 and (row[limit + 1 :] == PAD).all()
    assert generate(model, case, max_new_tokens=50).shape[1] == 51
    # A Trainer saves the default of transformers, which no one has set.
    with caplog.at_level("WARNING", logger="transformers"), monkeypatch.context() as patch:
        patch.setattr(logging.getLogger("transformers"), "propagate", True)
        for options in ({"max_new_tokens": None}, {"generation_config": GenerationConfig(max_length=20)}):
            model.generation_config.max_length = 20
            assert torch.equal(generate(model, case, **{"max_new_tokens": None, **options})[:, : ids.shape[1]], ids)
    assert "max_length" not in caplog.text


@torch.no_grad()
def test_an_earlier_output_of_the_encoder_may_be_the_source(model, case):
    encoder_outputs = model.get_encoder()(**case.batch)
    states = encoder_outputs.last_hidden_state.clone()
    options = {"decoder_language_ids": torch.tensor([1, 2, 3]), "max_new_tokens": STEPS, **BEAMS}
    expected = model.generate(**case.batch, **options)
    assert torch.equal(model.generate(encoder_outputs=encoder_outputs, **options), expected)
    assert torch.equal(encoder_outputs.last_hidden_state, states)
    plain = {"encoder_outputs": BaseModelOutput(states), "attention_mask": encoder_outputs.attention_mask}
    assert torch.equal(model.generate(**plain, **options), expected)


def test_exactly_one_source(model):
    features, ids = speech_batch([50])["input_features"], text_ids(1, 4)
    options = {"target_lang": "en", "max_new_tokens": STEPS}
    assert torch.equal(model.generate(features, **options), model.generate(input_features=features, **options))
    with pytest.raises(ValueError, match="exactly one source"):
        model.generate(input_features=features, input_ids=ids, **options)
    with pytest.raises(ValueError, match="exactly one source"):
        model.generate(**options)
    with pytest.raises(ValueError, match="given twice: as first argument and as input_features"):
        model.generate(features, input_features=features, **options)
    with pytest.raises(ValueError, match="exactly one source"):
        model(input_features=features, input_ids=ids, decoder_input_ids=ids)
    with pytest.raises(ValueError, match="exactly one source"):
        model(decoder_input_ids=ids)
    # The source text is never taken for the beginning of the target.
    assert model.generate(input_ids=ids, target_lang="en", max_new_tokens=2)[0, 0] == BOS


def test_languages_by_code_by_item_and_by_default(model, case):
    def run(**languages):
        return model.generate(**case.batch, **languages, max_new_tokens=STEPS)

    by_code = {code: run(decoder_language_ids=torch.full((ROWS,), LANGUAGES.index(code))) for code in LANGUAGES[1:]}
    assert len({str(ids.tolist()) for ids in by_code.values()}) == 3
    for code, ids in by_code.items():
        assert torch.equal(run(target_lang=code), ids)
    mixed = run(target_lang=["en", "es", "fr"])
    for row, code in enumerate(["en", "es", "fr"]):
        assert written(mixed[row]) == written(by_code[code][row])
    # A regional code falls back to its language; the source given is the default target.
    assert torch.equal(run(target_lang="fr-CA"), by_code["fr"])
    assert torch.equal(run(source_lang="es"), run(source_lang="es", target_lang="es"))


def test_arguments_of_whisper_mean_what_they_mean_there(model, case):
    def run(**options):
        return model.generate(**case.batch, max_new_tokens=STEPS, **options)

    is_speech = "input_features" in case.batch
    translation = run(source_lang="es", target_lang="en", task="ast" if is_speech else "mt")
    assert torch.equal(run(language="spanish", task="translate"), translation)
    assert torch.equal(run(language=["es-ES"] * ROWS, task="translate", target_lang="English"), translation)
    if is_speech:
        assert torch.equal(run(language="spa", task="transcribe"), run(source_lang="es", task="asr"))
    else:
        with pytest.raises(ValueError, match="pass audio"):
            run(task="transcribe")
    config = GenerationConfig.from_dict({**model.generation_config.to_dict(), "language": "es", "task": "translate"})
    assert torch.equal(run(generation_config=config), translation)
    assert torch.equal(run(generation_config=config, target_lang="fr"), run(source_lang="es", target_lang="fr"))


@torch.no_grad()
def test_default_target_is_the_language_guessed(model, case):
    states = [model.get_encoder()(**row).last_hidden_state for row in case.rows]
    guessed = torch.stack([model.language_head(state.mean(1))[0, 1:].argmax() + 1 for state in states])
    expected = model.generate(**case.batch, decoder_language_ids=guessed, max_new_tokens=STEPS)
    assert torch.equal(model.generate(**case.batch, max_new_tokens=STEPS), expected)


@pytest.mark.parametrize(
    ("languages", "times"),
    [({}, 1), ({"source_lang": ["es", None, "fr"]}, 1), ({"source_lang": "es"}, 0), ({"target_lang": ["es"] * 3}, 1)],
    ids=str,
)
def test_the_language_is_predicted_once_and_only_if_it_is_not_given(model, languages, times, monkeypatch):
    """Target language, drafts and CTC scores depend on it."""
    calls = []
    head = model.compute_language_logits
    monkeypatch.setattr(model, "compute_language_logits", lambda *args: calls.append(args) or head(*args))
    model.generate(**speech_batch([90, 41, 66]), **languages, ctc_weight=0.4, max_new_tokens=STEPS)
    assert len(calls) == times


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_lang": "klingon"}, "klingon"),
        ({"target_lang": "frr"}, "fr"),
        ({"source_lang": "de"}, "de"),
        ({"target_lang": ["en", "fr"]}, "2 languages for a batch of 3"),
        ({"target_lang": "en", "task": "mt"}, "speech"),
        ({"source_lang": "en", "target_lang": "fr", "task": "asr"}, "ast"),
        ({"source_lang": "en", "target_lang": "en", "task": "ast"}, "asr"),
        ({"target_lang": "en", "task": "dictate"}, "unknown task"),
        ({"target_lang": "en", "target_modality": "video"}, "target_modality"),
        ({"language": "fr", "source_lang": "en"}, "differ.*asr or transcribe.*es .Spanish."),
        ({"language": "en", "task": "translate"}, "both 'en'.*asr or transcribe.*es .Spanish."),
        ({"target_lang": "en", "target_modality": "speech", "task": "asr"}, "target_modality|speech"),
        ({"target_lang": "en", "ctc_weight": 1.5}, "ctc_weight"),
        ({"target_lang": "en", "tarket_lang": "fr"}, "tarket_lang"),
    ],
)
def test_wrong_arguments_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        model.generate(**speech_batch([40, 30, 20]), **options)


def assistant_for(model, seed: int) -> Mu2SLAMForConditionalGeneration:
    """A smaller model with other weights and its languages in another order."""
    torch.manual_seed(seed)
    config = tiny_config(num_hidden_layers=1, initializer_range=0.3)
    config.decoder_config.num_hidden_layers = 1
    config.languages = ["und", "es", "fr", "en"]
    return Mu2SLAMForConditionalGeneration(config).eval()


@pytest.mark.parametrize("kind", ["lookup", "itself", "other"])
@pytest.mark.parametrize("row", range(ROWS))
def test_assisted_decoding_gives_the_tokens_of_greedy_decoding(model, case, kind, row):
    """Also where the assistant proposes wrong tokens, so that CTC's prefixes are rewound."""
    assistants = {"itself": model, "other": assistant_for(model, 1)}
    options = {"assistant_model": assistants[kind]} if kind in assistants else {"prompt_lookup_num_tokens": 4}
    options["max_new_tokens"] = 24
    languages = {"source_lang": case.options.get("source_lang", "es")}
    for target in ("en", "fr", languages["source_lang"]):
        wanted = {**case.options, **languages, "target_lang": target}
        expected = model.generate(**case.rows[row], **wanted, max_new_tokens=24)
        assert torch.equal(model.generate(**case.rows[row], **wanted, **options), expected)
    # Limits that follow from the source hold too.
    expected = generate(model, case, row, max_new_tokens=None)
    assert torch.equal(generate(model, case, row, **{**options, "max_new_tokens": None}), expected)


def test_the_assistant_is_asked_in_its_own_terms(model, case):
    """It encodes the source itself and gets the languages; an assistant equal to the model saves decoder calls."""
    assistant = assistant_for(model, 1)
    calls = {"encoder": [], "decoder": [], "model": []}

    def listen(module, name):
        return module.register_forward_pre_hook(
            lambda _, __, kwargs: calls[name].append(kwargs["language_ids"].tolist()), with_kwargs=True
        )

    listen(assistant.model.encoder, "encoder")
    listen(assistant.model.decoder, "decoder")
    options = {"source_lang": "fr", "target_lang": "en", "max_new_tokens": 6}
    model.generate(**case.rows[0], **options, assistant_model=assistant)
    assert calls["encoder"] == [[2]]
    assert calls["decoder"] and all(ids == [3] for ids in calls["decoder"])

    twin = Mu2SLAMForConditionalGeneration(model.config).eval()
    twin.load_state_dict(model.state_dict())
    twin.generation_config.assistant_confidence_threshold = 0.0
    handle = listen(model.model.decoder, "model")
    try:
        ids = model.generate(**case.rows[0], **options, min_new_tokens=6, assistant_model=twin)
    finally:
        handle.remove()
    assert ids.shape[1] == 7 and 1 <= len(calls["model"]) <= 2


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        (0, {"assistant_model": True, "num_beams": 2}, "num_beams=2: pass num_beams=1"),
        (0, {"prompt_lookup_num_tokens": 3, "num_beams": 2}, "num_beams=2: pass num_beams=1"),
        (None, {"assistant_model": True}, "one item at a time, got 3"),
        (0, {"assistant_model": torch.nn.Linear(2, 2)}, "must be a Mu2SLAMForConditionalGeneration, got Linear"),
        (0, {"assistant_early_exit": 1}, None),
        (0, {"guidance_scale": 1.5}, None),
    ],
)
def test_what_assisted_decoding_does_not_support(model, case, row, options, message):
    if options.get("assistant_model") is True:
        options = {**options, "assistant_model": model}
    with pytest.raises(ValueError, match=message):
        generate(model, case, row, **options)


def test_an_assistant_must_have_the_same_vocabulary(model, case):
    config = tiny_config()
    config.vocab_size = config.decoder_config.vocab_size = VOCABULARY + 1
    with pytest.raises(ValueError, match="assistant_model differ: vocab_size 160 and 161"):
        generate(model, case, 0, assistant_model=Mu2SLAMForConditionalGeneration(config))
    states = model.get_encoder()(**case.rows[0])
    with pytest.raises(ValueError, match="encodes the source itself"):
        model.generate(encoder_outputs=states, target_lang="en", assistant_model=model)


@pytest.mark.parametrize(("source", "target"), [("es", "es"), ("es", "en"), ("it", "fr")])
def test_assisted_decoding_of_a_recording_with_the_shipped_checkpoint(source, target):
    """With the share of CTC that its generation configuration sets."""
    model, processor = load_default()
    assert model.generation_config.ctc_weight > 0
    file = next((REPOSITORY_ROOT / "examples" / source).glob("*.opus"))
    inputs = processor(audio=load_audio(file), sampling_rate=16000)
    options = {"language": source, "target_lang": target}
    expected = model.generate(**inputs, **options, num_beams=1)
    assert expected.shape[1] > 10
    torch.manual_seed(0)
    small = Mu2SLAMConfig.from_dict(model.config.to_dict())
    small.encoder_config.num_hidden_layers = small.decoder_config.num_hidden_layers = 1
    small = Mu2SLAMForConditionalGeneration(small).eval()
    for assisted in ({"assistant_model": small}, {"assistant_model": model}, {"prompt_lookup_num_tokens": 5}):
        assert torch.equal(model.generate(**inputs, **options, **assisted, num_beams=1), expected)
    # The beams of the generation configuration do not apply.
    assert model.generation_config.num_beams == 4
    assert torch.equal(model.generate(**inputs, **options, assistant_model=small), expected)


def test_ctc_weighs_transcripts_only(model, case):
    english = {"source_lang": "en", "target_lang": "en", "max_new_tokens": STEPS}
    is_speech = "input_features" in case.batch
    same = torch.equal(
        model.generate(**case.batch, **english, ctc_weight=1.0), model.generate(**case.batch, **english)
    )
    assert same != is_speech
    french = {**english, "target_lang": "fr"}
    expected = model.generate(**case.batch, **french)
    assert torch.equal(model.generate(**case.batch, **french, ctc_weight=1.0), expected)


def test_ctc_weight_in_the_generation_config_is_kept(model, tmp_path):
    batch = speech_batch([80, 60])
    options = {"source_lang": "en", "max_new_tokens": STEPS, **BEAMS}
    copy = Mu2SLAMForConditionalGeneration(model.config).eval()
    copy.load_state_dict(model.state_dict())
    copy.generation_config.ctc_weight = 0.5
    copy.save_pretrained(tmp_path)
    assert GenerationConfig.from_pretrained(tmp_path).ctc_weight == 0.5
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded.generate(**batch, **options), model.generate(**batch, ctc_weight=0.5, **options))


def test_ctc_weight_is_kept_after_a_start_without_a_generation_config(model, tmp_path):
    model.save_pretrained(tmp_path / "pretrained")
    (tmp_path / "pretrained" / "generation_config.json").unlink()
    finetuned = type(model).from_pretrained(tmp_path / "pretrained")
    finetuned.generation_config.ctc_weight = 0.8
    finetuned.save_pretrained(tmp_path / "finetuned")
    assert type(model).from_pretrained(tmp_path / "finetuned").generation_config.ctc_weight == 0.8


def test_language_and_task_in_the_generation_config_are_kept(model, tmp_path):
    batch = speech_batch([80, 60])
    copy = Mu2SLAMForConditionalGeneration(model.config).eval()
    copy.load_state_dict(model.state_dict())
    copy.generation_config.language, copy.generation_config.task = "spanish", "translate"
    copy.save_pretrained(tmp_path)
    loaded = Mu2SLAMForConditionalGeneration.from_pretrained(tmp_path).eval()
    expected = model.generate(**batch, source_lang="es", target_lang="en", max_new_tokens=STEPS)
    assert torch.equal(loaded.generate(**batch, max_new_tokens=STEPS), expected)
    french = model.generate(**batch, source_lang="fr", target_lang="es", max_new_tokens=STEPS)
    assert torch.equal(loaded.generate(**batch, language="fr", target_lang="es", max_new_tokens=STEPS), french)
