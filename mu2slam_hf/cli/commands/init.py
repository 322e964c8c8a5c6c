# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam init`: a model from a public speech encoder and a public text model, whole or its decoder."""

import argparse
from typing import Any

from mu2slam_hf.atomic_files import atomic_path, check_free_folder
from mu2slam_hf.cli.options import add_output_dir_option, add_seed_option, positive_int, quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "init",
        help="start a model from a public speech encoder and a public text model",
        description="Writes a model with the encoder of a public speech model (w2v-BERT 2.0, Wav2Vec2-Conformer) and "
        "the decoder, embeddings and tokenizer of a public text model (NLLB-200, mBART-50). It must be fine-tuned "
        "before use: `mu2slam train --recipe finetune_public_weights`. With --language-model instead of --text-model, "
        "a text model of any kind is kept whole and unchanged behind a new audio adapter: `mu2slam train --recipe "
        "speech_llm/zero_resource`.",
    )
    parser.add_argument(
        "--speech-model", required=True, metavar="PATH", help="folder or Hub name of the speech encoder"
    )
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--text-model", metavar="PATH", help="text model whose decoder is taken: folder or Hub name")
    text.add_argument(
        "--language-model", metavar="PATH", help="text model that is kept whole, encoder-decoder or causal, likewise"
    )
    add_output_dir_option(parser, "the model and its processor", required=True)
    parser.add_argument(
        "--decoder-layers", type=layer_choice, metavar="N", help="decoder layers to keep: 6, or their numbers 0,5,11"
    )
    parser.add_argument(
        "--encoder-layers", type=layer_choice, metavar="N", help="encoder layers to keep, likewise; default: all"
    )
    parser.add_argument(
        "--table-languages",
        metavar="LANGS",
        help="language table, as en,fr,mdw; default: all languages of the text model (--language-model: none)",
    )
    parser.add_argument(
        "--adapter-stride",
        type=positive_int,
        default=2,
        metavar="N",
        help="encoder frames per embedding of --language-model: 2 for frames of 40 ms, 4 for frames of 20 ms (2)",
    )
    parser.add_argument(
        "--num-speech-tokens", type=positive_int, default=1024, metavar="N", help="size of the speech codebook (1024)"
    )
    add_seed_option(parser, "weights that neither model has")
    parser.set_defaults(run=run)


def layer_choice(text: str) -> int | list[int]:
    """A number of layers, or with commas (`0,5,11`, `3,`) numbers of layers."""
    if "," not in text:
        return positive_int(text)
    numbers = [part.strip() for part in text.split(",") if part.strip()]
    if not all(number.isdecimal() for number in numbers):
        raise argparse.ArgumentTypeError(f"expected a number of layers, or numbers as 0,5,11; got {text!r}")
    return [int(number) for number in numbers]


def run(args: argparse.Namespace) -> int:
    """Builds the model and writes it."""
    quiet_libraries()
    from mu2slam_hf.cli.files import check_output_folder

    folder = check_free_folder(check_output_folder(args.output_dir))
    from transformers import set_seed

    set_seed(args.seed)
    languages = None if args.table_languages is None else args.table_languages.split(",")
    build = _build_speech_llm if args.language_model else _build_with_decoder
    model, processor, description = build(args, languages)
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
    print(f"{description}, written to {folder}")
    return 0


def _build_with_decoder(args: argparse.Namespace, languages: list[str] | None) -> tuple[Any, Any, str]:
    """Model, processor and a line about them."""
    from mu2slam_hf.interop.public_weights import build_from_speech_and_text

    model, processor = build_from_speech_and_text(
        args.speech_model,
        args.text_model,
        decoder_layers=args.decoder_layers,
        encoder_layers=args.encoder_layers,
        languages=languages,
        num_speech_tokens=args.num_speech_tokens,
    )
    config: Any = model.config
    return (
        model,
        processor,
        f"{config.encoder_config.num_hidden_layers} encoder layers, {config.decoder_config.num_hidden_layers} decoder "
        f"layers, {config.vocab_size} ids, {len(config.languages) - 1} languages",
    )


def _build_speech_llm(args: argparse.Namespace, languages: list[str] | None) -> tuple[Any, Any, str]:
    from mu2slam_hf.checkpoints import DEFAULT_NAME, default_checkpoint
    from mu2slam_hf.interop.speech_llm import build_speech_llm

    speech = default_checkpoint() if args.speech_model == DEFAULT_NAME else args.speech_model
    model, processor = build_speech_llm(
        speech, args.language_model, languages=languages or [], adapter_stride=args.adapter_stride
    )
    sizes = [
        f"{name} {sum(parameter.numel() for parameter in part.parameters()):,}"
        for name, part in (
            ("speech encoder", model.encoder),
            ("audio adapter", model.audio_adapter),
            ("text model", model.language_model),
        )
    ]
    per_second = 16000 / model.config.inputs_to_logits_ratio
    return model, processor, f"parameters: {', '.join(sizes)}; {per_second:g} audio embeddings per second"
