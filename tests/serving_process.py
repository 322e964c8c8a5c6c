# Copyright 2026 The mu2slam_hf authors. Licensed under the Apache License, Version 2.0.
"""A server in a process of its own, on a free port, with a temporary folder that must stay empty."""

import os
import signal
import subprocess
import sys
from pathlib import Path


class ServerProcess:
    """`mu2slam serve`, started and ready.

    Args:
        folder: for its log, and for its temporary files.
        *arguments: of the command.

    Attributes:
        address: of the API, for the clients of OpenAI.
        temporary: folder of its temporary files.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._log = (folder / "log").open("w+")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(self.temporary), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mu2slam_hf", "serve", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
            cwd=folder,
        )
        line = self.process.stdout.readline()
        assert line.startswith("mu2slam serves at http://127.0.0.1:"), f"{line}\n{self.log}"
        self.address = line.split()[-1]

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        self._log.seek(0)
        return self._log.read()

    @property
    def temporary_files(self) -> list[str]:
        """Names of its temporary files, without the folder that torch makes when it is imported."""
        return [path.name for path in self.temporary.iterdir() if not path.name.startswith("torchinductor")]

    @property
    def resident_bytes(self) -> int:
        """Its memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Stop it by a signal; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        status = self.process.wait(timeout=120)
        self.process.stdout.close()
        return status
