"""Run directories of commands that are refused, and of dry runs."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fpainter.errors import UserError
from fpainter.launch.messages import fail


class RefusedRun(Callback):
    """End a refused command with its sentence, and take back what Hydra has written for it.

    Hydra makes the run directory, with the config and a log in it, before the task can refuse. It
    is taken back after a dry run, too.
    When the task has written something of its own, all stays; so do the directories of sweeps.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note what is there before Hydra writes."""
        self.directory = Path(config.hydra.run.dir).absolute()
        self.hydras = self.directory / ".hydra", self.directory / f"{config.hydra.job.name}.log"
        folders = (self.hydras[0], self.directory, *self.directory.parents)
        self.new = [folder for folder in folders if not folder.exists()]
        self.before = self._contents()
        self.others = self._others()

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Take back what Hydra has written if the task has refused or was a dry run."""
        error = kwargs["job_return"]._return_value
        refused = isinstance(error, UserError)
        if not refused and not config.get("dry_run"):
            return
        if self._others() == self.others:
            for file in self._contents():
                if file in self.before:
                    file.write_bytes(self.before[file])
                else:
                    file.unlink()
            for folder in self.new:
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()
        if refused:
            fail(str(error))

    def _contents(self) -> dict[Path, bytes]:
        """Return what is in the files that Hydra writes."""
        configs, log = self.hydras
        return {file: file.read_bytes() for file in (log, *configs.glob("*")) if file.is_file()}

    def _others(self) -> dict[Path, int]:
        """Return when each of the other files and folders in the run directory has changed."""
        paths = self.directory.glob("*")
        return {path: path.lstat().st_mtime_ns for path in paths if path not in self.hydras}
