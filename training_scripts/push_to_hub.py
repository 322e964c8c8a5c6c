# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""Make an upload folder of a checkpoint (weights, processor, card, code), check it, and upload it.

    python training_scripts/push_to_hub.py --checkpoint runs/x/final --facts model_cards/x.yaml \
        --results results/x.json --examples examples/manifest.tsv --folder upload/x   # only make and check the folder
    python training_scripts/push_to_hub.py ... --folder upload/x --repo-id organisation/x    # and upload it

`mu2slam publish` does the same, and lists the files. The folder loads with `trust_remote_code=True` where this package
is not installed; that is part of the check.
Uploading uses the token of `hf auth login`.
"""

import argparse
import sys

from mu2slam_hf.cli.errors import run_and_report
from mu2slam_hf.hub.bundle import push_bundle
from mu2slam_hf.hub.release import Release, make_release


def main(arguments: list[str] | None = None) -> None:
    """Build, check and, with --repo-id, upload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="folder with model and processor")
    parser.add_argument("--facts", required=True, help="YAML with the facts of the card that its author writes")
    parser.add_argument("--results", action="append", default=[], help="record of `mu2slam evaluate`; repeatable")
    parser.add_argument(
        "--examples", metavar="MANIFEST", help="recordings of which three are transcribed for the card"
    )
    parser.add_argument("--extra-file", action="append", default=[], help="file to add, e.g. LICENSE")
    parser.add_argument("--folder", required=True, help="upload folder to make; must not exist")
    parser.add_argument("--repo-id", help="upload to this repository of the Hub")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--revision", help="branch to upload to")
    options = parser.parse_args(arguments)

    release = Release(
        model=options.checkpoint,
        facts=options.facts,
        results=options.results,
        examples=options.examples,
        extra_files=options.extra_file,
    )
    print("\n".join(map(str, make_release(release, options.folder))))
    print(f"{options.folder} is complete and loads without the package.")
    if options.repo_id:
        print(push_bundle(options.folder, options.repo_id, private=options.private or None, revision=options.revision))


if __name__ == "__main__":
    sys.exit(run_and_report(main, "push_to_hub.py"))
