"""The exceptions of jempp. All of them are `Error`s, and most are also what Python raises in such a case."""


class Error(Exception):
    """The base of all exceptions of jempp."""


class InputError(Error, ValueError):
    """An array whose values cannot be used: not finite, or far outside [-1, 1]."""


class ShapeError(InputError):
    """An array of a shape that the model does not take."""


class DtypeError(InputError, TypeError):
    """An array of another type than floating point, or what is no array."""


class ConfigError(Error, ValueError):
    """A keyword of `Model.sample` that does not exist, is out of range, or does not fit the others."""


class ModelError(Error):
    """There is no such model, or the file is none."""


class DeviceError(Error, RuntimeError):
    """There is no such device, or it failed."""
