"""Which arrays are taken, what is said of others, and that none is copied without need."""

import tracemalloc

import jempp
import numpy as np
import pytest


def images(count=3, shape=(1, 28, 28), seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def test_every_layout_of_gray_images_is_the_same_image(fashion):
    x = images()
    energy, gradient = fashion.energy_and_gradient(x)
    for shape in [(3, 28, 28), (3, 28, 28, 1), (3, 784)]:
        other = x.reshape(shape)
        assert np.array_equal(fashion.energy(other), energy)
        assert np.array_equal(fashion.logits(other), fashion.logits(x))
        found = fashion.gradient(other)
        assert found.shape == shape
        assert np.array_equal(found.reshape(x.shape), gradient)


def test_colours_may_be_first_or_last(cifar):
    x = images(2, (3, 32, 32))
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    assert np.array_equal(cifar.energy(last), cifar.energy(x))
    gradient = cifar.gradient(last)
    assert gradient.shape == last.shape and gradient.flags.c_contiguous
    assert np.array_equal(gradient.transpose(0, 3, 1, 2), cifar.gradient(x))


def test_points_are_rows_of_two(moons):
    x = images(5, (2,))
    assert moons.shape == (2,)
    assert moons.energy(x).shape == (5,)
    assert moons.gradient(x).shape == (5, 2)
    assert np.array_equal(moons.energy(x.reshape(5, 2, 1, 1)), moons.energy(x))
    assert moons.gradient(x.reshape(5, 2, 1, 1)).shape == (5, 2, 1, 1)
    # A plane wider than the data is looked at in every lecture.
    assert np.isfinite(moons.energy(100 * x)).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.longdouble),
        lambda x: x.astype(">f4"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x[::-1][::-1],
        lambda x: x.tolist(),
        lambda x: tuple(x),
        lambda x: list(x),
        lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view("f4").reshape(x.shape),
    ],
    ids="float64 longdouble big-endian fortran strided negative lists tuple list unaligned".split(),
)
def test_what_is_no_float32_in_c_order_is_copied(fashion, change):
    x = images()
    assert np.array_equal(fashion.energy(change(x)), fashion.energy(x))


def test_half_precision_is_taken_as_it_is(fashion):
    half = images().astype(np.float16)
    assert np.array_equal(fashion.energy(half), fashion.energy(half.astype(np.float32)))


def test_an_array_that_may_not_be_written_to_is_read(fashion):
    x = images()
    x.flags.writeable = False
    before = x.copy()
    fashion.energy_and_gradient(x)
    assert np.array_equal(x, before)


class Dlpack:
    """An array of another library, without NumPy's protocol."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class Array:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_arrays_of_other_libraries_are_taken(fashion):
    x = images()
    for other in Dlpack(x), Array(x):
        assert np.array_equal(fashion.energy(other), fashion.energy(x))


def test_tensors_of_pytorch_are_taken(fashion):
    torch = pytest.importorskip("torch")
    x = images()
    assert np.array_equal(fashion.energy(torch.from_numpy(x)), fashion.energy(x))
    with pytest.raises(jempp.InputError, match="requires grad"):
        fashion.energy(torch.from_numpy(x).requires_grad_())


def peak(work):
    """The most bytes of NumPy's arrays and Python's objects at one time during a call."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def test_float32_in_c_order_is_read_where_it_lies(moons):
    x = images(500_000, (2,))
    assert x.nbytes == 4_000_000
    # The result alone is half of it, and NumPy is told of it only when it is done.
    assert peak(lambda: moons.energy(x)) < 0.1 * x.nbytes
    assert peak(lambda: moons.energy(x.reshape(-1, 2, 1, 1))) < 0.1 * x.nbytes
    assert peak(lambda: moons.energy(x.astype(np.float64))) > x.nbytes
    assert peak(lambda: moons.energy(np.asfortranarray(x))) > x.nbytes


def test_no_images_give_no_results(fashion, moons):
    x = images(0)
    assert fashion.energy(x).shape == (0,)
    assert fashion.logits(x).shape == (0, 10)
    assert fashion.probabilities(x).shape == (0, 10)
    assert fashion.gradient(x).shape == (0, 1, 28, 28)
    assert fashion.gradient(x.reshape(0, 784)).shape == (0, 784)
    assert moons.energy(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    "shape, wanted",
    [
        ((3, 27, 28), r"\(3, 27, 28\).*takes \(n, 28, 28\), \(n, 1, 28, 28\)"),
        ((28, 28), "one input: x\\[numpy.newaxis\\]"),
        ((3, 3, 28, 28), "takes"),
        ((784,), r"\(784,\).*newaxis"),
        ((), r"\(\)"),
        ((0,), r"\(0,\)"),
        ((1, 1, 1, 28, 28), "takes"),
        ((3, 0, 28), "takes"),
    ],
)
@pytest.mark.parametrize("call", ["energy", "logits", "probabilities", "gradient"])
def test_a_wrong_shape_says_what_is_wanted(fashion, call, shape, wanted):
    with pytest.raises(jempp.ShapeError, match=wanted):
        getattr(fashion, call)(np.zeros(shape, np.float32))


def test_shapes_of_colour_and_of_points_are_said(cifar, moons):
    with pytest.raises(jempp.ShapeError, match=r"\(n, 3, 32, 32\) or \(n, 32, 32, 3\)"):
        cifar.energy(np.zeros((2, 32, 32)))
    with pytest.raises(jempp.ShapeError, match=r"newaxis"):
        cifar.energy(np.zeros((3, 32, 32)))
    # Whether the channels come first or last cannot be seen in a row.
    with pytest.raises(jempp.ShapeError):
        cifar.energy(np.zeros((2, 3 * 32 * 32)))
    with pytest.raises(jempp.ShapeError, match=r"takes \(n, 2\)"):
        moons.energy(np.zeros((2, 3)))


@pytest.mark.parametrize(
    "x, said",
    [
        (np.zeros((2, 28, 28), np.uint8), "uint8.*127.5 - 1"),
        (np.zeros((2, 28, 28), np.int64), "int64.*astype"),
        (np.zeros((2, 28, 28), bool), "bool"),
        (np.zeros((2, 28, 28), complex), "complex128"),
        (np.zeros((2, 28, 28), object), "object"),
        (np.zeros((2, 28, 28), "M8[s]"), "datetime"),
        ([["a", "b"]], "<U1"),
        ("fashion.png", "is a str"),
        (None, "is a NoneType"),
        ({"x": 1}, "is a dict"),
        ([[0, 1]], "int64"),
    ],
    ids=lambda value: "" if not isinstance(value, str) else value[:9],
)
def test_another_type_says_what_is_wanted(fashion, x, said):
    with pytest.raises(jempp.DtypeError, match=said):
        fashion.energy(x)


def test_values_that_are_not_finite_are_named(fashion, cifar):
    x = images()
    for value in np.nan, np.inf, -np.inf:
        x[2, 0, 5, 7] = value
        with pytest.raises(jempp.InputError, match=r"x\[2, 0, 5, 7\] is (NaN|inf|-inf)"):
            fashion.gradient(x)
        with pytest.raises(jempp.InputError, match=r"x\[2, 5, 7\]"):
            fashion.energy(x[:, 0])
    colours = np.zeros((2, 32, 32, 3))
    colours[1, 4, 9, 2] = np.nan
    with pytest.raises(jempp.InputError, match=r"x\[1, 4, 9, 2\] is NaN"):
        cifar.energy(colours)
    with pytest.raises(jempp.InputError, match="is inf"), np.errstate(over="ignore"):
        fashion.energy(np.full((1, 28, 28), 1e300))


def test_pixels_from_0_to_255_are_refused_with_advice(fashion):
    x = np.random.default_rng(0).integers(0, 256, (2, 28, 28)).astype(np.float32)
    with pytest.raises(jempp.InputError, match=r"from -1 to 1; for pixels.*x / 127.5 - 1"):
        fashion.energy(x)
    assert fashion.energy(x / 127.5 - 1).shape == (2,)
    with pytest.raises(jempp.InputError, match=r"values from -50 to 0") as error:
        fashion.energy(np.where(x > 200, -50.0, 0.0))
    assert "127.5" not in str(error.value)
    # SGLD and MALA leave the box a little, and their images have energies too.
    assert np.isfinite(fashion.energy(1.5 * images())).all()


def test_lists_of_rows_of_other_lengths_are_refused(moons):
    with pytest.raises(jempp.InputError, match="NumPy makes no array of x|type object"):
        moons.energy([[0.0, 1.0], [0.0]])


def test_a_masked_array_is_refused(moons):
    x = np.ma.masked_array(np.zeros((2, 2)), mask=[[0, 1], [0, 0]])
    with pytest.raises(jempp.InputError, match="mask"):
        moons.energy(x)


def test_errors_are_what_python_raises_in_such_a_case():
    assert issubclass(jempp.ShapeError, ValueError) and issubclass(jempp.ShapeError, jempp.Error)
    assert issubclass(jempp.InputError, ValueError)
    assert issubclass(jempp.DtypeError, TypeError)
    assert issubclass(jempp.ConfigError, ValueError)
    assert issubclass(jempp.DeviceError, RuntimeError)
    assert issubclass(jempp.ModelError, jempp.Error)
    assert jempp.ShapeError.__module__ == "jempp"
