"""Episodes as mp4 files."""

from pathlib import Path
from typing import Any

import imageio_ffmpeg

from rlcont.envs.box import BoxEnv


class VideoFiles:
    """Writes each episode into a file of its own: FOLDER/NAME-episode-N.mp4.

    Shapes:
        frames [height, width, 3] uint8.
    """

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self.paths: list[Path] = []
        self._writers: dict[int, Any] = {}

    def __call__(self, episode: int, env: BoxEnv) -> None:
        """Appends a frame of the environment to the file of `episode`."""
        frame = env.frame()
        if episode not in self._writers:
            height, width = frame.shape[:2]
            path = self.folder / f"{self.name}-episode-{episode}.mp4"
            writer = imageio_ffmpeg.write_frames(
                str(path), (width, height), fps=env.frames_per_second, macro_block_size=2, quality=7
            )
            writer.send(None)
            self._writers[episode] = writer
            self.paths.append(path)
        self._writers[episode].send(frame.tobytes())

    def close(self) -> None:
        """Ends all files."""
        for writer in self._writers.values():
            writer.close()
