"""The types of the compiled part of jempp. People import `jempp`."""

from collections.abc import Sequence
from os import PathLike
from typing import Any, Literal, TypedDict, final, type_check_only

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Model", "Samples", "__version__", "devices", "load", "models"]

__version__: str

@type_check_only
class Device(TypedDict):
    """A graphics adapter."""

    index: int
    name: str
    backend: str
    kind: str
    driver: str

def load(path_or_name: str | PathLike[str], device: str | int = "auto") -> Model:
    """Loads a model: a bundled one by its name, or the file or run folder at a path.

    A name of `models()` is always the bundled model; for a file of that name, write "./fashion" or give a `pathlib.Path`.
    `device` is "auto", "gpu", "cpu", or the index, a part of the name or the graphics API of an adapter of `devices()`.

    Raises `ModelError` if there is no such model or the file is none, and `DeviceError` if there is no such device.
    """

def models() -> list[str]:
    """The names of the bundled models, for `load`."""

def devices() -> list[Device]:
    """The graphics adapters of this machine. The CPU, which is always there, is not among them."""

@final
class Model:
    """A trained model on a device: a classifier whose logits also define an energy. `load` gives one.

    Images are float32 with values from -1 to 1, of shape (n, c, h, w), (n, h, w, c) or, of one channel, (n, h, w); for
    models of points in the plane, (n, 2). Several threads may use a model at the same time.
    """

    @property
    def name(self) -> str:
        """The name of the bundled model, of the run folder or of the file."""
    @property
    def shape(self) -> tuple[int, int, int] | tuple[int]:
        """The shape of an input: (channels, height, width), or (2,) for points in the plane."""
    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
    @property
    def num_classes(self) -> int:
        """The number of classes."""
    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the training run: `model.config["sampler"]["step_size"]`."""
    @property
    def device(self) -> str:
        """The device that computes, in words."""
    @property
    def temperature(self) -> float | None:
        """The temperature that divides the logits for `probabilities`, if one was fitted after training."""
    def energy(self, x: ArrayLike) -> NDArray[np.float32]:
        """The energy of each image, -log_sum_exp(logits): the lower, the more likely. Shape (n,)."""
    def logits(self, x: ArrayLike) -> NDArray[np.float32]:
        """The logits of each image, shape (n, classes)."""
    def probabilities(self, x: ArrayLike) -> NDArray[np.float32]:
        """p(y|x) of each image, shape (n, classes), calibrated if the model was."""
    def gradient(self, x: ArrayLike) -> NDArray[np.float32]:
        """The gradient of the energy by the image, with the shape of `x`."""
    def denoise(self, x: ArrayLike) -> NDArray[np.float32]:
        """Images without noise, with the shape of `x`, for models trained with it, as "mnist-sampler"."""
    def energy_and_gradient(
        self, x: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The energy of each image and its gradient, from one pass."""
    def sample(
        self,
        *,
        num_steps: int = 100,
        num_per_class: int | None = None,
        labels: Sequence[int | str] | NDArray[np.integer[Any]] | None = None,
        start: Literal["class-centers", "uniform", "data", "buffer"]
        | str
        | PathLike[str]
        | ArrayLike = "class-centers",
        seed: int = 0,
        conditional: bool = False,
        chains_per_start: int = 1,
        traces: bool = False,
        kind: Literal["sgld", "proximal-sgld", "pyld", "normalized-gradient", "mala"] | None = None,
        step_size: float | None = None,
        noise_std: float | None = None,
        proximal_radius: float | None = None,
        num_inner_steps: int | None = None,
        inner_step_size: float | None = None,
        step_schedule: Literal["constant", "linear", "cosine"] | None = None,
        final_step_factor: float | None = None,
        denoise_step: float | None = None,
        norm: Literal["none", "batch", "frozen", "group"] | None = None,
        split: int | None = None,
        micro_batch: int | None = None,
        dir: str | PathLike[str] | None = None,
        max_memory_mib: int | None = None,
    ) -> Samples:
        """Draws samples with Langevin chains. All arguments are keywords, named as the keys of the configuration.

        Those from `kind` on replace keys of the training run; None leaves a key as it is.
        """

@final
class Samples:
    """The ends of chains, as `Model.sample` gives them. NumPy takes it for the array of its images."""

    @property
    def images(self) -> NDArray[np.float32]:
        """The images, shape (n, c, h, w), or (n, 2) for points in the plane.

        Without the noise of the data if `denoise_step` is above 0; with `denoise_step=0` they are the chains themselves.
        """
    @property
    def energies(self) -> NDArray[np.float32]:
        """The energy of each chain, shape (n,): E(x), or E(x, y) for conditional chains."""
    @property
    def labels(self) -> NDArray[np.int64] | None:
        """The class of each chain, shape (n,); None if the chains started from images without labels."""
    @property
    def probabilities(self) -> NDArray[np.float32]:
        """p(y|x) of each image, shape (n, classes)."""
    @property
    def traces(self) -> dict[str, NDArray[np.float32]] | None:
        """With traces=True: arrays of shape (num_steps + 1, n), from the starts to the ends.

        Their names: "energy", "gradient_norm", "clamp_rate", "saturation" and, for MALA, "acceptance_probability".
        """
    def __len__(self) -> int: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]: ...
