# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam serve`: transcription and translation for programs, by OpenAI's API for audio."""

import argparse
import importlib.util
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mu2slam_hf.checkpoints import DEFAULT_NAME
from mu2slam_hf.cli.adapters import add_adapters_option, read_adapters
from mu2slam_hf.cli.files import read_text
from mu2slam_hf.cli.model_options import add_loading_options
from mu2slam_hf.cli.models import CommandModel
from mu2slam_hf.cli.options import (
    add_generation_options,
    add_window_options,
    check_silero,
    generation_arguments,
    number_from_0,
    positive_int,
    positive_seconds,
)
from mu2slam_hf.inference.recordings import print_error
from mu2slam_hf.serving.limits import ServingLimits

_DEFAULTS = ServingLimits()
_LIMITS = {
    "upload_megabytes": ("--max-upload", "MB", "size of a request"),
    "audio_seconds": ("--max-length", "SECONDS", "length of a recording"),
    "requests": ("--max-requests", "N", "requests at a time, with those that wait"),
    "client_requests": ("--max-client-requests", "N", "requests of one key or address at a time"),
    "sessions": ("--max-sessions", "N", "live transcriptions at a time"),
    "upload_seconds": ("--upload-timeout", "SECONDS", "time in which a request must arrive"),
    "extra_seconds": ("--timeout", "SECONDS", "time of a request beyond the length of its recording"),
    "grace_seconds": ("--grace", "SECONDS", "time for accepted requests when the server is stopped"),
}
_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "websockets")
_PAGE_PACKAGES = (*_PACKAGES, "gradio", "matplotlib")


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "serve",
        help="serve transcription and translation to programs, by OpenAI's API",
        description="Answers requests of OpenAI's API for audio: /v1/audio/transcriptions, /v1/audio/translations, "
        "/v1/realtime (live), /v1/models; with /health and /metrics (Prometheus). Recordings of several requests are "
        "recognised together. Requires the extra: serve.",
        epilog="SIGTERM or Ctrl-C stops the server when all requests are answered that it has accepted; a second one "
        "stops it at once. One JSON line per request goes to standard error, without texts.",
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="PATH",
        help="folder or Hub name; as NAME=PATH with the name by which requests ask for it; may be repeated, the first "
        "one also answers for whisper-1; default: the checkpoint in the package",
    )
    add_adapters_option(parser, "of the first --model; requests ask for MODEL:NAME")
    parser.add_argument("--strict-model", action="store_true", help="accept only names of models, not whisper-1")
    parser.add_argument("--host", default="127.0.0.1", help="address of the interface to listen at (127.0.0.1)")
    parser.add_argument("--port", type=number_from_0, default=8000, help="port; 0 for a free one (8000)")
    parser.add_argument(
        "--page", action="store_true", help="also show a page at / to transcribe and translate by hand (extra: page)"
    )
    parser.add_argument("--api-key-file", metavar="FILE", help="keys, one per line, of which requests must give one")
    parser.add_argument(
        "--replicas",
        type=replica_count,
        metavar="N",
        help="answer by N processes, each with the models, of this machine or the Ray cluster that RAY_ADDRESS names; "
        "auto: as many as the requests need (extra: scale)",
    )
    parser.add_argument("--threads", type=positive_int, metavar="N", help="threads of the model")
    add_loading_options(parser)
    add_generation_options(parser)
    add_window_options(parser)
    add_limits(parser.add_argument_group("limits"))
    parser.set_defaults(run=run)


def add_limits(group: Any) -> None:
    """Options of `ServingLimits`."""
    for field, (option, unit, text) in _LIMITS.items():
        default = getattr(_DEFAULTS, field)
        kind = positive_int if unit == "N" else positive_seconds
        group.add_argument(
            option, dest=field, type=kind, default=default, metavar=unit, help=f"{text} ({default:.0f})"
        )


def run(args: argparse.Namespace) -> int:
    """Serves until a signal; returns 0."""
    check_packages(with_page=args.page)
    check_replicas(args)
    choices = choose_models(args)
    limits = ServingLimits(batch_seconds=args.batch_seconds, **{name: getattr(args, name) for name in _LIMITS})
    api_keys = read_api_keys(args.api_key_file) if args.api_key_file else []
    if not api_keys and not is_loopback(args.host):
        print_error("mu2slam", f"--host {args.host} without --api-key-file: everybody who reaches it can use it")
    if args.vad == "silero":
        check_silero()
    sock = None
    if args.replicas is None:
        from mu2slam_hf.serving.server import open_socket, serve

        sock = open_socket(args.host, args.port)
    # What follows imports torch.
    from mu2slam_hf.inference.transcription import TranscriptionOptions
    from mu2slam_hf.serving.settings import ServingSettings

    options = TranscriptionOptions(
        timestamps="word",
        chunk_length_s=args.chunk_length,
        vad=args.vad,
        batch_seconds=args.batch_seconds,
        generate_kwargs=generation_arguments(args),
    )
    settings = ServingSettings(
        choices=choices,
        options=options,
        limits=limits,
        api_keys=api_keys,
        strict=args.strict_model,
        threads=args.threads,
        page=args.page,
    )
    if sock is not None:
        serve(settings.build_app(), sock)
    else:
        from mu2slam_hf.serving.ray_app import serve_with_ray

        serve_with_ray(settings, args.replicas, host=args.host, port=args.port)
    return 0


def replica_count(text: str) -> int | str:
    """A number of replicas, or auto."""
    return text if text == "auto" else positive_int(text)


def check_replicas(args: argparse.Namespace) -> None:
    """Raises ValueError for options that replicas do not support, ImportError if Ray is not installed."""
    if args.replicas is None:
        return
    if importlib.util.find_spec("ray") is None:
        raise ImportError("--replicas requires Ray: pip install 'mu2slam-hf[scale]'")
    if args.page:
        raise ValueError("--page belongs to one process; remove --replicas")
    if args.port == 0:
        raise ValueError("--port 0: pass the port at which the replicas are to be found")


def check_packages(*, with_page: bool = False) -> None:
    """Raises ImportError if the extra is not installed."""
    names = _PAGE_PACKAGES if with_page else _PACKAGES
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        option, extra = (" --page", "page") if with_page else ("", "serve")
        raise ImportError(f"mu2slam serve{option} requires {', '.join(missing)}: pip install 'mu2slam-hf[{extra}]'")


def choose_models(args: argparse.Namespace) -> dict[str, CommandModel]:
    """The models by name; adapters belong to the first one.

    Raises:
        ValueError: a name is given twice, or a folder has no adapters.
    """
    read_adapters(args.adapters)
    choices: dict[str, CommandModel] = {}
    for name, path in map(read_named_model, args.model or [DEFAULT_NAME]):
        if name in choices:
            raise ValueError(f"--model {name}={path}: the name {name} is given twice; pass NAME=PATH with another one")
        choices[name] = CommandModel(
            name=path,
            device=args.device,
            dtype=args.dtype,
            quantization=args.quantization,
            adapters={} if choices else dict(args.adapters),
            backend=args.backend,
        )
        choices[name].read_config()
    return choices


def read_named_model(text: str) -> tuple[str, str]:
    """Name and path of `NAME=PATH` or `PATH`; without a name, a folder has its own.

    Raises:
        ValueError: the name or the path is empty.
    """
    name, separator, path = text.partition("=")
    if not separator:
        return (Path(text).name if Path(text).is_dir() else text), text
    if not (name.strip() and path):
        raise ValueError(f"--model {text}: expected PATH or NAME=PATH")
    return name.strip(), path


def read_api_keys(path: str) -> Sequence[str]:
    """The keys of a file.

    Raises:
        ValueError: it has none, or cannot be read.
    """
    lines = (line.strip() for line in read_text(path, "keys, one per line").splitlines())
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise ValueError(f"--api-key-file {path}: expected keys, one per line; it has none")
    return keys


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
