# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""`mu2slam publish`: a checkpoint on the Hub, with its card and the code that loads it."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from mu2slam_hf.cli.model_options import add_model_option
from mu2slam_hf.cli.options import quiet_libraries


def add_parser(subparsers: Any) -> None:
    """Adds the command."""
    parser = subparsers.add_parser(
        "publish",
        help="make and check an upload folder of a model, and upload it to the Hub",
        description="Makes a folder with weights, processor, card, licence and the code that loads it without this "
        "package; checks that it does, and that the records of the scores are of these weights; lists all files and "
        "what was checked; uploads everything in one commit with the token of `hf auth login`.",
    )
    add_model_option(parser)
    parser.add_argument("--repo", metavar="ORG/NAME", help="repository on the Hub; created if it does not exist")
    parser.add_argument(
        "--facts", metavar="FILE", help="facts of the card, as in model_cards/default.yaml; default: the model's card"
    )
    parser.add_argument(
        "--records", nargs="+", default=[], metavar="FILE", help="scores of the card, by mu2slam evaluate --results"
    )
    parser.add_argument("--examples", metavar="MANIFEST", help="recordings, three of which are shown on the card")
    parser.add_argument("--extra-file", action="append", default=[], metavar="FILE", help="another file to add")
    parser.add_argument(
        "--with", dest="variants", nargs="+", default=[], metavar="VARIANT", help="also in another form: 8bit"
    )
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (main)")
    parser.add_argument("--tag", help="tag of the commit; must be new")
    parser.add_argument("--folder", metavar="DIR", help="keep the upload folder here; must not exist")
    parser.add_argument("--dry-run", action="store_true", help="list files and checks, and upload nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Makes, checks and lists the folder, and uploads it; returns 1 if a check fails."""
    if not (args.repo or args.folder or args.dry_run):
        raise ValueError("pass --repo ORG/NAME to upload, --folder DIR to only make the folder, or --dry-run")
    quiet_libraries()
    from mu2slam_hf.hub.bundle import push_bundle
    from mu2slam_hf.hub.release import Release, format_size, list_files, make_release

    release = Release(
        model=args.model,
        facts=args.facts,
        results=args.records,
        examples=args.examples,
        extra_files=args.extra_file,
        variants=args.variants,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.folder or f"{temporary}/upload")
        checks = make_release(release, folder)
        files = list_files(folder)
        print("".join(f"{format_size(size):>10}  {name}\n" for name, size in files))
        print(f"{len(files)} files, {format_size(sum(size for _, size in files))}\n")
        print("\n".join(map(str, checks)), flush=True)
        if any(check.is_good is False for check in checks):
            return 1
        if args.repo and not args.dry_run:
            options = {"private": args.private or None, "revision": args.revision, "tag": args.tag}
            print(push_bundle(folder, args.repo, **options))
    return 0
