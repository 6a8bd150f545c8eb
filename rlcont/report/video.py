"""Episodes as mp4 files."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any, Self

import imageio_ffmpeg

from rlcont.core.errors import UserError
from rlcont.envs.box import BoxEnv
from rlcont.runs.files import writing_to


class VideoFiles:
    """Writes each episode into a file of its own: FOLDER/NAME-episode-N.mp4. A context that ends the files.

    After an error, the files that were begun are deleted.

    Shapes:
        frames [height, width, 3] uint8.
    """

    def __init__(self, folder: Path, name: str):
        self.folder = folder
        self.name = name
        self.paths: list[Path] = []
        self._writers: dict[int, Any] = {}
        self._shapes: dict[int, tuple[int, ...]] = {}

    def __enter__(self) -> Self:
        with writing_to(f"to={self.folder}"):
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()  # Better known before the first episode than after it.
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with writing_to(f"to={self.folder}"):
            for writer in self._writers.values():
                writer.close()
        if error is not None:
            for path in self.paths:
                path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # Others' files are in it.
                self.folder.rmdir()

    def __call__(self, episode: int, env: BoxEnv) -> None:
        """Appends a frame of the environment to the file of `episode`."""
        frame = env.door.frame()
        height, width, _ = shape = self._shapes.setdefault(episode, frame.shape)
        if frame.shape != shape:
            raise UserError(
                f"env={env.spec.env_id}: cannot be drawn: its pictures change from {shape} to {frame.shape}"
            )
        with writing_to(f"to={self.folder}"):
            if episode not in self._writers:
                path, fps = self.folder / f"{self.name}-episode-{episode}.mp4", env.frames_per_second
                writer = imageio_ffmpeg.write_frames(str(path), (width, height), fps=fps, macro_block_size=2, quality=7)
                writer.send(None)
                self._writers[episode] = writer
                self.paths.append(path)
            self._writers[episode].send(frame.tobytes())
