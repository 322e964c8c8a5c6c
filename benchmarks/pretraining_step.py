# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""One update of pre-training, packed and the plain way, on the same batches in the same run.

Packed: one forward pass for all views of a batch, the front end and the speech tokenizer once per utterance. Plain:
one padded forward pass per task and view, with backward after each or once at the end, whichever is faster. Both take
the same examples and masks, and end with the same step of Adam. Batches are drawn by the sampler of pre-training from
real recordings (longer than `--max-seconds` left out); the two ways take turns, first one first, then the other.
Loading and collating are not part of the time: loader processes do that. The figures are medians over the rounds,
summed over the batches, and so is their ratio; its spread is that of single rounds.

On a machine that does other things, `OMP_WAIT_POLICY=passive` and `--clock cpu` count the time that the main thread
works: about what it would take on an idle one.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import torch

from mu2slam_hf import Mu2SLAMConfig, Mu2SLAMFeatureExtractor, Mu2SLAMProcessor, Mu2SLAMTokenizer
from mu2slam_hf.data.audio import AudioCache
from mu2slam_hf.data.collation.mu2slam import Mu2SLAMPreTrainingCollator
from mu2slam_hf.data.collation.packing import padding_share
from mu2slam_hf.data.corpora.registry import load_corpus
from mu2slam_hf.data.durations import fill_durations
from mu2slam_hf.data.examples.builder import ExampleBuilder, ExampleLimits
from mu2slam_hf.data.examples.dataset import ExampleDataset
from mu2slam_hf.data.examples.draws import DrawOptions
from mu2slam_hf.data.sampling.mixture_config import PAPER_SHARES, MixtureConfig
from mu2slam_hf.data.sampling.tables import TableBatchSampler
from mu2slam_hf.models.configuration_speech_tokenizer import SpeechTokenizerConfig
from mu2slam_hf.models.modeling_mu2slam_pretraining import Mu2SLAMForPreTraining
from mu2slam_hf.models.modeling_speech_tokenizer import SpeechTokenizerModel
from mu2slam_hf.models.modules_losses import weighted_mean_sum
from mu2slam_hf.training.optim import build_optimizer

PHASES = ("tokenize", "forward", "backward", "optimizer")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Data, sizes and precision."""
    parser.add_argument("--corpus", action="append", required=True, help="name=folder; may be given several times")
    parser.add_argument("--config", default="configuration/models/mu2slam/small.json")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 8], help="multiples of the batch 4/8/1/1/1")
    parser.add_argument("--batches", type=int, default=6, help="different batches of each size")
    parser.add_argument("--max-seconds", type=float, default=20.0, help="longer recordings are left out")
    parser.add_argument("--max-row-length", type=int, help="most positions of a packed row")
    parser.add_argument("--attention", default="sdpa", help="attention backend: sdpa, eager or flex_attention")
    parser.add_argument("--plain-backward", choices=["each", "end", "faster"], default="faster")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 autocast")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: for a busy machine, see above")
    parser.add_argument("--profile", action="store_true", help="print what one packed update spends its time on")


def load_examples(corpora: list[str], max_seconds: float) -> list:
    """Examples of all five tasks, made of the same recordings and texts."""
    records = [
        record
        for name, folder in (corpus.split("=", 1) for corpus in corpora)
        for record in load_corpus(name, folder, max_duration_seconds=max_seconds)
    ]
    records, _ = fill_durations(records)
    limits = ExampleLimits(max_seconds=max_seconds)
    return ExampleBuilder(tasks=PAPER_SHARES, one_target=True, limits=limits).build(records)


def build_collators(examples: list, config: Mu2SLAMConfig, options: argparse.Namespace) -> list:
    """The collators of both ways, with a character tokenizer of the examples' texts."""
    texts = [text for e in examples for text in (e.source_text, *(target.text for target in e.targets)) if text]
    tokenizer = Mu2SLAMTokenizer.train_from_iterator(texts, num_speech_tokens=config.num_speech_tokens)
    processor = Mu2SLAMProcessor(Mu2SLAMFeatureExtractor(), tokenizer, languages=config.languages)
    return [
        Mu2SLAMPreTrainingCollator(processor, seed=0, layout=layout, max_row_length=options.max_row_length)
        for layout in ("packed", "plain")
    ]


def draw_batches(examples: list, collators: list, times: int, number: int) -> list[tuple[list, list]]:
    """`number` batches of `times` 4/8/1/1/1 examples, each collated both ways."""
    shares = {task: times * share for task, share in PAPER_SHARES.items()}
    sampler = iter(TableBatchSampler(examples, MixtureConfig(shares=shares)))
    dataset = ExampleDataset(examples, DrawOptions(undetermined_source_ratio=0.3), cache=AudioCache(max_bytes=2**30))
    batches = []
    for _ in range(number):
        items = [dataset[key] for key in next(sampler)]
        packed, plain = (collator(items) for collator in collators)
        batches.append(([packed], plain))
    return batches


class Step:
    """One update over a list of batches.

    Args:
        config: of the model.
        options: device, attention backend, precision.
    """

    def __init__(self, config: Mu2SLAMConfig, options: argparse.Namespace) -> None:
        torch.manual_seed(0)
        self.device = torch.device(options.device)
        self.model = Mu2SLAMForPreTraining._from_config(config, attn_implementation=options.attention)
        self.model.to(self.device).train()
        tokenizer_config = SpeechTokenizerConfig(num_codevectors_per_group=config.num_speech_tokens)
        self.tokenizer = SpeechTokenizerModel(tokenizer_config).to(self.device).eval()
        self.optimizer = build_optimizer(self.model, learning_rate=1e-5, weight_decay=0.0, optimizer="adam")
        self.bf16 = options.bf16
        self.clock = time.thread_time if options.clock == "cpu" else time.perf_counter

    def __call__(self, batches: list[dict], *, backward: str = "each") -> dict[str, float]:
        """Seconds of each phase; `backward`: "each" after every forward pass, or once at the "end"."""
        seconds: Counter[str] = Counter()
        total = torch.zeros((), device=self.device)
        for batch in batches:
            inputs = {k: v.to(self.device) for k, v in batch.items() if k != "record_ids"}
            started = self._now()
            ids = self.tokenizer(inputs["input_features"], inputs["attention_mask"])
            seconds["tokenize"] += self._now() - started
            started = self._now()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                loss = self._loss(self.model(**inputs, speech_token_ids=ids))
            seconds["forward"] += self._now() - started
            if backward == "each":
                started = self._now()
                loss.backward()
                seconds["backward"] += self._now() - started
            else:
                total = total + loss
        started = self._now()
        if backward == "end":
            total.backward()
            seconds["backward"] += self._now() - started
            started = self._now()
        self.optimizer.step()
        self.optimizer.zero_grad()
        seconds["optimizer"] += self._now() - started
        return dict(seconds)

    @staticmethod
    def _loss(outputs) -> torch.Tensor:
        return weighted_mean_sum(outputs.loss_sums, outputs.loss_counts.detach())

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return self.clock()


def measure(step: Step, batches: list[tuple[list, list]], options: argparse.Namespace) -> dict:
    """Phases in milliseconds per batch, their ratio, positions and padding of one size of batch."""
    trials: dict[str, list[float]] = {"each": [], "end": []}
    for packed, plain in batches[:1]:  # warm-up, too
        step(packed)
        for backward, seconds in trials.items():
            step(plain, backward=backward)
            seconds.append(sum(step(plain, backward=backward).values()))
    plain_backward = options.plain_backward
    if plain_backward == "faster":
        plain_backward = min(trials, key=lambda backward: sum(trials[backward]))
    passes: dict[str, list[list[dict]]] = {"packed": [], "plain": []}
    for repeat in range(options.repeats):
        done: dict[str, list[dict]] = {"packed": [], "plain": []}
        for number, (packed, plain) in enumerate(batches):
            ways = [("packed", packed, "each"), ("plain", plain, plain_backward)]
            for name, lists, backward in ways if (number + repeat) % 2 == 0 else ways[::-1]:
                done[name].append(step(lists, backward=backward))
        for name, phases in done.items():
            passes[name].append(phases)
    figures: dict = {"plain_backward": plain_backward}
    for index, name in enumerate(passes):
        lists = [pair[index] for pair in batches]
        flat = [batch for batch_list in lists for batch in batch_list]
        padding = padding_share(flat)
        figures[name] = {
            "encoder_positions": sum(b["sequence_ids"].numel() for b in flat) / len(lists),
            "decoder_positions": sum(b["decoder_sequence_ids"].numel() for b in flat) / len(lists),
            "rows": sum(len(b["sequence_ids"]) for b in flat) / len(lists),
            "encoder_padding": padding.encoder,
            "decoder_padding": padding.decoder,
            **{f"{phase}_ms": _median(passes[name], phase) / len(lists) for phase in PHASES},
        }
        figures[name]["total_ms"] = sum(figures[name][f"{phase}_ms"] for phase in PHASES)
    ratios = [_total(plain) / _total(packed) for packed, plain in zip(passes["packed"], passes["plain"], strict=True)]
    figures["ratio"] = figures["plain"]["total_ms"] / figures["packed"]["total_ms"]
    figures["ratio_spread"] = [min(ratios), max(ratios)]
    return figures


def _median(passes: list[list[dict]], phase: str) -> float:
    """Milliseconds of a phase: median over the passes of each batch, summed over the batches."""
    by_batch = zip(*[[batch[phase] for batch in one] for one in passes], strict=True)
    return sum(1000 * statistics.median(times) for times in by_batch)


def _total(phases: list[dict]) -> float:
    return sum(sum(batch.values()) for batch in phases)


def make_rows(times: int, figures: dict) -> list[dict[str, object]]:
    """One size of batch as rows of the table."""
    low, high = figures["ratio_spread"]
    return [
        {
            "batch": f"{times} x 4/8/1/1/1",
            "way": name if name == "packed" else f"{name}, backward at {figures['plain_backward']}",
            "rows": figures[name]["rows"],
            "encoder positions": figures[name]["encoder_positions"],
            "encoder padding": figures[name]["encoder_padding"],
            "decoder positions": figures[name]["decoder_positions"],
            "decoder padding": figures[name]["decoder_padding"],
            **{f"{phase}, ms": figures[name][f"{phase}_ms"] for phase in (*PHASES, "total")},
            "plain / packed": figures["ratio"],
            "of rounds": f"{low:.2f} to {high:.2f}",
        }
        for name in ("packed", "plain")
    ]


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """Two rows for every size of batch."""
    examples = load_examples(options.corpus, options.max_seconds)
    languages = {e.source_lang for e in examples} | {target.lang for e in examples for target in e.targets}
    values = json.loads(Path(options.config).read_text(encoding="utf-8"))
    config = Mu2SLAMConfig(**{**values, "languages": ["und", *sorted(languages)]})
    # Paper: section 3.1 pre-trains without dropout in the encoder, and with 0.1 in the decoder.
    config.encoder_config.hidden_dropout = config.encoder_config.embedding_dropout = 0.0
    config.decoder_config.hidden_dropout = 0.1
    collators = build_collators(examples, config, options)
    step = Step(config, options)
    rows: list[dict[str, object]] = []
    for times in options.times:
        batches = draw_batches(examples, collators, times, options.batches)
        if options.profile:
            print_profile(step, batches[0][0])
        rows += make_rows(times, measure(step, batches, options))
    return rows


def print_profile(step: Step, packed: list[dict]) -> None:
    """Operators of one packed update by their own time."""
    step(packed)
    with torch.profiler.profile(record_shapes=False) as profile:
        step(packed)
    sort_by = "self_cuda_time_total" if step.device.type == "cuda" else "self_cpu_time_total"
    print(profile.key_averages().table(sort_by=sort_by, row_limit=25, max_name_column_width=45))
