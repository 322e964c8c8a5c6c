# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""The model of the paper on one batch: does the loss fall, how much memory, how long, and how much of the device.

Weights, gradients and Adam's two moments are 16 bytes per parameter in float32: 11.0 GB for the 0.69 B of the paper
(6 GB with `--optimizer sgd`). Every update takes the same batch of made-up examples (noise and random words): `small`
has 6 of them with 1 or 2 s and 20 characters, `paper` 4 speech-only, 8 text-only, 1 ASR, 1 AST and 1 MT with 15 s, 8 s
and 350 characters. The figures are of one run of `--steps` updates, which are printed.

FLOPs of an update (multiply and add are two): 3 x those of a forward pass, without what activation checkpointing does
twice. Forward, per real position: 2 x parameters of the stack it goes through (keys and values of cross-attention
count for positions of the encoder) and 4 x width x layers x positions it attends to; per predicted token 2 x width x
vocabulary, per frame of CTC likewise; the front end by its convolutions. MFU is that over time over `--peak-tflops`.
"""

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMFeatureExtractor, Mu2SLAMProcessor, Mu2SLAMTokenizer
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.collation.packing import padding_share
from mu2slam_hf.data.examples.dataset import Item
from mu2slam_hf.data.examples.draws import DrawnExample
from mu2slam_hf.data.examples.example import Example, Target
from mu2slam_hf.data.random_keys import DrawKey
from mu2slam_hf.data.sampling.mixture_config import PAPER_SHARES
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_lengths import encoder_length
from mu2slam_hf.training.optim import build_optimizer

ALPHABET = "abcdefghijklmnopqrstuvwxyz"
BATCHES = {
    "small": ({"speech": 1, "text": 2, "asr": 1, "ast": 1, "mt": 1}, {"speech": 2.0, "asr": 1.0, "ast": 1.0}, 20),
    "paper": (PAPER_SHARES, {"speech": 15.0, "asr": 8.0, "ast": 8.0}, 350),
}
"""Name -> examples of each task, seconds of speech, characters of a text (a third of it in pairs)."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Model, batch and optimizer."""
    parser.add_argument("--config", default="configuration/models/mu2slam/paper_char.json")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", choices=sorted(BATCHES), default="small")
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--learning-rate", type=float, help="default: 1e-4 for adam, 1e-2 for sgd")
    parser.add_argument("--warmup-steps", type=int, default=10, help="updates over which the rate rises to its value")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast; weights stay in float32")
    parser.add_argument("--keep-activations", action="store_true", help="no activation checkpointing")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--peak-tflops", type=float, help="of the device at this precision; cuda: 989 (H100, bf16)")


def make_item(task: str, number: int, seconds: float, characters: int) -> Item:
    """One made-up example."""
    generator = np.random.default_rng(number)

    def text() -> str:
        length = characters if task == "text" else max(5, characters // 3)
        return "".join(generator.choice(list(ALPHABET + "    "), size=length)).strip() or "a"

    is_speech = task in ("speech", "asr", "ast")
    written = text()
    lang = "en" if task == "asr" else "fr"
    targets = (Target(task=task, lang=lang, text=written, num_tokens=len(written) + 1),)
    example = Example(
        id=f"{task}:{number}",
        source_modality="speech" if is_speech else "text",
        source_lang="en",
        targets=targets if task in ("asr", "ast", "mt") else (),
        source_text=None if is_speech else text(),
        duration_seconds=seconds if is_speech else 0.0,
    )
    drawn = DrawnExample(
        key=DrawKey(number),
        example=example,
        parts=(example,),
        gap_seconds=0.0,
        speed_factor=1.0,
        source_lang="und",
        targets=example.targets,
    )
    waveform = 0.1 * generator.standard_normal(round(16_000 * seconds)) if is_speech else None
    return Item(drawn=drawn, waveform=None if waveform is None else waveform.astype(np.float32))


def make_batch(config: Mu2SLAMConfig, name: str) -> dict[str, torch.Tensor]:
    """Model inputs of one batch."""
    shares, seconds, characters = BATCHES[name]
    tasks = [task for task, share in shares.items() for _ in range(share)]
    items = [make_item(task, number, seconds.get(task, 0.0), characters) for number, task in enumerate(tasks)]
    texts = [ALPHABET + " "]
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(texts, num_speech_tokens=config.num_speech_tokens)
    processor = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=config.languages)
    batch = Mu2SLAMPreTrainingCollator(processor, seed=0)(items)
    del batch["record_ids"]
    speech_tokenizer = SpeechTokenizerModel(SpeechTokenizerConfig(num_codevectors_per_group=config.num_speech_tokens))
    batch["speech_token_ids"] = speech_tokenizer(batch["input_features"], batch["attention_mask"])
    return batch


def count_flops(model: Mu2SLAMForPreTraining, batch: dict[str, torch.Tensor]) -> float:
    """FLOPs of one update, as the text on top says."""
    config = model.config
    width, vocabulary = config.encoder_config.hidden_size, config.vocab_size
    num_layers, num_decoder_layers = config.encoder_config.num_hidden_layers, config.decoder_config.num_hidden_layers
    encoder_parameters = sum(p.numel() for p in model.model.encoder.conformer.parameters())
    decoder_parameters = sum(p.numel() for p in model.model.decoder.layers.parameters())
    cross_parameters = num_decoder_layers * 2 * width * width
    lengths, decoder_lengths, pairs, cross_pairs = 0, 0, 0, 0
    for ids, decoder_ids, source_ids in zip(
        batch["sequence_ids"], batch["decoder_sequence_ids"], batch["decoder_source_ids"], strict=True
    ):
        source_lengths = torch.bincount(ids)
        lengths += int(source_lengths[1:].sum())
        pairs += int(source_lengths[1:].square().sum())
        for sequence in range(1, int(decoder_ids.max()) + 1):
            own = decoder_ids == sequence
            decoder_lengths += int(own.sum())
            cross_pairs += int(own.sum()) * (int(own.sum()) // 2 + int(source_lengths[source_ids[own][0]]))
    predicted = len(batch["mlm_positions"]) + len(batch["decoder_label_positions"])
    predicted += int((batch["ctc_positions"] >= 0).sum())
    forward = 2 * lengths * (encoder_parameters + cross_parameters)
    forward += 2 * decoder_lengths * (decoder_parameters - cross_parameters)
    forward += 4 * width * (num_layers * pairs + num_decoder_layers * cross_pairs)
    forward += 2 * predicted * width * vocabulary
    first, second = config.encoder_config.subsampling_conv_channels
    frames, bins = encoder_length(batch["attention_mask"].sum(dim=1)), config.encoder_config.num_mel_bins
    per_frame = 9 * first * 4 * (bins // 4) + 9 * first * second * (bins // 4) + second * (bins // 4) * width
    forward += 2 * int(frames.sum()) * per_frame
    return 3.0 * forward


def build_model(options: argparse.Namespace) -> Mu2SLAMForPreTraining:
    """The model with random weights."""
    torch.manual_seed(0)
    config = Mu2SLAMConfig(**json.loads(Path(options.config).read_text(encoding="utf-8")))
    model = Mu2SLAMForPreTraining(config).to(options.device).train()
    if not options.keep_activations:
        model.activation_checkpointing_enable()
    return model


def run_updates(model: Mu2SLAMForPreTraining, batch: dict, options: argparse.Namespace) -> tuple[list, list]:
    """Losses and seconds of every update."""
    if options.optimizer == "sgd":
        rate = options.learning_rate or 1e-2
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    else:
        rate = options.learning_rate or 1e-4
        optimizer = build_optimizer(model, learning_rate=rate, weight_decay=0.0, optimizer="adam")
    device = torch.device(options.device)
    losses, seconds = [], []
    for number in range(options.steps):
        started = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (number + 1) / max(1, options.warmup_steps))
        with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
        if options.steps <= 20 or number % 20 == 0:
            text = f"update {number + 1:4d}  loss {losses[-1]:8.3f}  {seconds[-1]:7.2f} s  {memory_gb(device):5.1f} GB"
            print(text, file=sys.stderr, flush=True)
    return losses, seconds


def memory_gb(device: torch.device) -> float:
    """Most memory so far: of the process on CPU, of torch's allocator on a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """One row.

    Raises:
        RuntimeError: the loss did not fall.
    """
    model = build_model(options)
    batch = make_batch(model.config, options.batch)
    flops, padding = count_flops(model, batch), padding_share(batch)
    batch = {name: value.to(options.device) for name, value in batch.items()}
    rows, length = batch["sequence_ids"].shape
    losses, seconds = run_updates(model, batch, options)
    if not losses[-1] < losses[0]:
        raise RuntimeError(f"the losses {losses} do not fall")
    typical = statistics.median(seconds[1:] or seconds)
    tflops = flops / 1e12 / typical
    peak = options.peak_tflops or (989.0 if options.device.startswith("cuda") and options.bf16 else None)
    return [
        {
            "model": Path(options.config).stem,
            "parameters, 10^9": sum(parameter.numel() for parameter in model.parameters()) / 1e9,
            "rows": rows,
            "encoder positions": length,
            "decoder positions": batch["decoder_units"].shape[1],
            "padding": f"{padding.encoder:.1%}, {padding.decoder:.1%}",
            "first loss": losses[0],
            "last loss": losses[-1],
            "seconds per update": typical,
            "memory, GB": memory_gb(torch.device(options.device)),
            "TFLOP per update": flops / 1e12,
            "TFLOP/s": tflops,
            "MFU": "" if peak is None else tflops / peak,
        }
    ]
