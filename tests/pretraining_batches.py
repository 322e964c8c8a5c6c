# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Tiny models, items and batches of pre-training, and the same items as the slow reference wants them."""

import numpy as np
import torch
from helpers import make_tiny_config, make_tiny_processor
from reference_pretraining import Example as ReferenceExample
from reference_pretraining import Noise, Side

from mu2slam_hf import Mu2SLAMForPreTraining
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.masking import MaskingConfig, corrupt_tokens, draw_frame_mask, draw_span_mask, number_words
from mu2slam_hf.data.random_keys import DrawKey, draw_generator
from mu2slam_hf.data.records import SpeechTextRecord

SEED = 11
PROCESSOR = make_tiny_processor()
LANGUAGES = list(PROCESSOR.languages)
LETTERS = "abcdeilmnoprst"
# Samples at 16 kHz: a frame of 10 ms is 160, one encoder frame 640.
LENGTHS = [1, 100, 640, 641, 3200, 5300, 9999, 4801]


def make_model(seed: int = 0, dtype: torch.dtype = torch.float32, **encoder_options) -> Mu2SLAMForPreTraining:
    """2 + 2 layers of 16, weights far from zero, in evaluation mode."""
    torch.manual_seed(seed)
    model = Mu2SLAMForPreTraining(make_tiny_config(vocab_size=len(PROCESSOR.tokenizer), **encoder_options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.15 * torch.randn_like(parameter))
    return model.eval().to(dtype)


def draw_text(generator: np.random.Generator, max_words: int = 6) -> str:
    """Words of random letters; sometimes a character that the tokenizer does not know."""
    words = []
    for _ in range(generator.integers(1, max_words + 1)):
        words.append("".join(generator.choice(list(LETTERS), size=generator.integers(1, 7))))
    return " ".join(words) + (" \u4e00" if generator.random() < 0.2 else "")


def build_item(name="x", *, samples=None, text=None, targets=(), lang="en", told=None, key=None, **given) -> Item:
    """An item of a given content.

    Args:
        name: id of the example.
        samples: of noise at 16 kHz; None for a text source, or speech that has no waveform.
        text: the source text; None for speech.
        targets: (task, language, text) of each.
        lang: true language of the source.
        told: what the model is told instead.
        key: of the draw; the first one of the first example by default.
        given: `record` of the example, `waveform` and `error` of the item.
    """
    example = Example(
        id=name,
        source_modality="speech" if text is None else "text",
        source_lang=lang,
        source_text=text,
        targets=tuple(Target(task=t, lang=code, text=said, num_tokens=len(said) + 1) for t, code, said in targets),
        record=given.pop("record", None),
        duration_seconds=(samples or 0) / 16000,
    )
    drawn = DrawnExample(
        key=key or DrawKey(0),
        example=example,
        parts=(example,),
        gap_seconds=0.0,
        speed_factor=1.0,
        source_lang=told or lang,
        targets=example.targets,
    )
    if samples is not None and not given:
        given["waveform"] = 0.1 * np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    return Item(drawn=drawn, **given)


def make_item(task: str, number: int, generator: np.random.Generator, **given) -> Item:
    """A random example of a task.

    Args:
        task: one of the five.
        number: makes the id.
        generator: of lengths, contents, languages and of whether the model is told.
        given: `samples`, `source_text`, `target_text` in place of random ones.
    """
    source_lang, target_lang = generator.choice(LANGUAGES[1:], size=2, replace=False).tolist()
    if task == "asr":
        target_lang = source_lang
    samples = given.get("samples", int(generator.choice(LENGTHS)))
    source_text, target_text = given.get("source_text", draw_text(generator)), draw_text(generator)
    target_text = given.get("target_text", target_text)
    common = {
        "targets": ((task, target_lang, target_text),) if task in ("asr", "ast", "mt") else (),
        "lang": source_lang,
        "key": DrawKey(number, int(generator.integers(3))),
        "told": "und" if generator.random() < 0.5 else None,
    }
    if task in ("text", "mt"):
        return build_item(f"{task}:{number}", text=source_text, **common)
    record = SpeechTextRecord(id=str(number), corpus="test", lang=source_lang, audio="x.wav")
    waveform = (0.1 * generator.standard_normal(samples)).astype(np.float32)
    return build_item(f"{task}:{number}", samples=samples, record=record, waveform=waveform, **common)


def make_items(tasks: str | list[str], seed: int = 0, **given) -> list[Item]:
    """One item per name in `tasks`."""
    generator = np.random.default_rng(seed)
    names = tasks.split() if isinstance(tasks, str) else tasks
    return [make_item(task, number, generator, **given) for number, task in enumerate(names)]


def draw_speech_ids(item: Item, num_frames: int, num_entries: int = 16) -> np.ndarray:
    """Codebook entries of an utterance: any, but always the same."""
    return np.random.default_rng(len(item.waveform)).integers(num_entries, size=num_frames)


def collate(items: list[Item], layout: str = "packed", **options) -> dict | list[dict]:
    """The batch of a collator (or the batches of the plain layout), as the trainer gives it to the model."""
    collator = Mu2SLAMPreTrainingCollator(PROCESSOR, seed=SEED, layout=layout, **options)
    collated = collator(items)
    by_id = {item.drawn.example.id: item for item in items}
    batches = [collated] if isinstance(collated, dict) else collated
    for batch in batches:
        used = [by_id[name] for name in batch.pop("record_ids")]
        add_speech_ids(batch, [item for item in used if item.waveform is not None])
    return batches[0] if layout == "packed" else batches


def add_speech_ids(batch: dict, speakers: list[Item]) -> None:
    """What the frozen speech tokenizer does in the trainer."""
    lengths = [count_encoder_frames(int(frames)) for frames in batch["attention_mask"].sum(dim=1)]
    ids = torch.full((len(lengths), count_encoder_frames(batch["attention_mask"].shape[1])), -100)
    for row, item in enumerate(speakers):
        ids[row, : lengths[row]] = torch.from_numpy(draw_speech_ids(item, lengths[row]))
    batch["speech_token_ids"] = ids


def count_encoder_frames(num_frames: int) -> int:
    """Two convolutions of stride 2, each rounding up."""
    return ((num_frames + 1) // 2 + 1) // 2


def read_items(items: list[Item], ctc_input: str = "masked") -> list[ReferenceExample]:
    """The same items for the reference; masks are drawn once more, by the functions that draw masks."""
    return [_read_item(item, ctc_input) for item in items]


def _read_item(item: Item, ctc_input: str) -> ReferenceExample:
    drawn, example = item.drawn, item.drawn.example
    target = drawn.targets[0] if drawn.targets else None
    task = target.task if target else example.source_modality
    told = LANGUAGES.index(drawn.source_lang)
    source = Side(language=LANGUAGES.index(example.source_lang), told=told)
    if item.waveform is not None:
        extracted = PROCESSOR.feature_extractor([item.waveform], sampling_rate=16000, return_tensors="pt")
        source.features = extracted["input_features"][0]
        source.speech_ids = draw_speech_ids(item, count_encoder_frames(len(source.features))).tolist()
    else:
        source.token_ids = PROCESSOR.tokenizer(example.source_text, add_special_tokens=False).input_ids
    sides, texts = [source], [(example.source_text, example.source_lang)]
    if target:
        language = LANGUAGES.index(target.lang)
        ids = PROCESSOR.tokenizer(target.text, add_special_tokens=False).input_ids
        sides.append(Side(language=language, told=language, token_ids=ids))
        texts.append((target.text, target.lang))
    noise = {}
    for view in [task] if target is None else [task, f"{task}_backward", f"{task}_alignment"]:
        read = {"backward": [1], "alignment": [0, 1]}.get(view.partition("_")[2], [0])
        noise[view] = [
            _draw_noise(item, view, number, sides[side], *texts[side], ctc_input) for number, side in enumerate(read)
        ]
    return ReferenceExample(task=task, source=sides[0], target=sides[1] if target else None, noise=noise)


def _draw_noise(item, view: str, number: int, side: Side, text: str | None, lang: str, ctc_input: str) -> Noise:
    rules = MaskingConfig()
    generator = draw_generator(SEED, item.drawn.key, item.drawn.example.id, f"mask:{view}:{number}")
    if view == "asr" and ctc_input == "clean":
        return Noise(mask=[False] * len(side.speech_ids))
    if side.token_ids is None:
        return Noise(mask=draw_frame_mask(len(side.speech_ids), rules, generator).tolist())
    offsets = PROCESSOR.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    mask = draw_span_mask(number_words(text, offsets, lang), 0.25 if view.startswith("mt") else 0.5, generator)
    tokenizer = PROCESSOR.tokenizer
    candidates = np.arange(tokenizer.text_token_offset, len(tokenizer))
    corruption = corrupt_tokens(mask, candidates, rules, generator)
    random_ids, shown = iter(corruption.random_ids.tolist()), []
    for token_id, is_masked, is_random in zip(side.token_ids, corruption.is_masked, corruption.is_random, strict=True):
        shown.append(tokenizer.mask_token_id if is_masked else next(random_ids) if is_random else token_id)
    return Noise(mask=mask.tolist(), shown=shown)
