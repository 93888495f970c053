"""Joint energy-based models (JEM++) on NumPy arrays: energies, logits, gradients and samples.

    import jempp

    model = jempp.load("fashion")
    samples = model.sample(num_per_class=10, num_steps=100)
    print(samples.images.shape, samples.energies.mean())

Everything is documented in docs/python.md of the repository.
"""

from ._errors import (
    ConfigError,
    DeviceError,
    DtypeError,
    Error,
    InputError,
    ModelError,
    ShapeError,
)
from ._jempp import Model, Samples, __version__, devices, load, models

for _error in (ConfigError, DeviceError, DtypeError, Error, InputError, ModelError, ShapeError):
    _error.__module__ = "jempp"
del _error

__all__ = [
    "ConfigError",
    "DeviceError",
    "DtypeError",
    "Error",
    "InputError",
    "Model",
    "ModelError",
    "Samples",
    "ShapeError",
    "__version__",
    "devices",
    "load",
    "models",
]
