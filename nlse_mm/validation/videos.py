"""Name the video that can't be read, or that is shorter than a clip."""

from typing import Any

from nlse_mm.environment.import_errors import reason
from nlse_mm.errors import ConfigError, MissingPackageError
from nlse_mm.toolbox import VIDEO

from .agreement import Warn
from .image_sizes import pipeline_of, spread

_FILES = 8


def check_videos(dataset: Any, key: str, warn: Warn) -> None:
    """Refuse videos that can't be read; warn of clips longer than the videos.

    Some videos, spread over the data set, are opened now. The others are named when
    they are read. Of a video that is too short MMAction2 repeats the frames.

    Args:
        dataset: A data set proper; its transforms that read videos are wrapped, in
            place.
        key: Its place in the config.
        warn: Called with the length of a clip, and of the longest video of those
            opened, if that is shorter.

    Raises:
        ConfigError: Naming the video.
    """
    steps = pipeline_of(dataset)
    kinds = [type(s).__name__ if VIDEO.owns(type(s)) else "" for s in steps]
    opens = next((i for i, kind in enumerate(kinds) if kind.endswith("Init")), None)
    if opens is None:
        return
    for i, kind in enumerate(kinds):
        if kind.endswith(("Init", "Decode")):
            dataset.pipeline.transforms[i] = NamedVideo(steps[i])
    opened = [
        dataset.pipeline.transforms[opens](dataset.get_data_info(i))
        for i in spread(len(dataset), _FILES)
    ]
    sampler = next((s for s in steps if hasattr(s, "out_of_bound_opt")), None)
    if sampler is None or sampler.out_of_bound_opt != "loop" or sampler.target_fps:
        return
    longest = max(opened, key=lambda results: results["total_frames"])
    wanted = (sampler.clip_len - 1) * sampler.frame_interval + 1
    if longest["total_frames"] < wanted:
        warn(
            f"{key}: a clip of clip_len={sampler.clip_len} and frame_interval="
            f"{sampler.frame_interval} wants {wanted} frames, and {longest['filename']}"
            f", the longest of {len(opened)} videos, has {longest['total_frames']}: "
            "its frames are repeated, from the first on"
        )


class NamedVideo:
    """Do what a transform does, and name the video that it can't read.

    Args:
        transform: MMAction2's, that opens or decodes a video.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transform ``results``.

        Raises:
            ConfigError: Naming their ``filename``.
            MissingPackageError: If the reader isn't installed.
        """
        name = results["filename"]
        try:
            results = self.transform(results)
        except ImportError as error:
            kind = type(self.transform).__name__
            raise MissingPackageError(f"{kind} can't read {name}: {error}") from error
        except FileNotFoundError as error:
            raise ConfigError(f"the video {name} does not exist") from error
        except MemoryError:
            raise
        except Exception as error:  # each reader has its own
            said = f"{name} is broken, or no video: {reason(error)}"
            raise ConfigError(said) from error
        if not results["total_frames"]:
            raise ConfigError(f"{name} is broken, or no video: it has no frames")
        return results
