"""The public names: what is promised is there, nothing else is, and it loads when it is first asked for."""

import inspect
from importlib import import_module

import pytest

import minbert
from minbert.errors import MinbertError


def test_all_is_what_is_visible() -> None:
    visible = [name for name in dir(minbert) if not name.startswith("_")]
    assert sorted(minbert.__all__) == visible == sorted(set(minbert.__all__))


def test_all_promises_no_more_and_no_less_than_is_typed() -> None:
    """The names that a type checker sees are those that the lazy loader serves."""
    source = inspect.getsource(minbert)
    typed = source.split("if TYPE_CHECKING:")[1].split("__all__")[0]
    assert sorted(minbert.__all__) == sorted(
        name.strip() for line in typed.splitlines() if " import " in line for name in line.split("import")[1].split(",")
    )


@pytest.mark.parametrize("name", minbert.__all__)
def test_a_public_name_loads_and_says_what_it_does(name: str) -> None:
    value = getattr(minbert, name)
    assert value.__name__ == name
    assert value.__doc__


def test_star_import_brings_exactly_the_public_names() -> None:
    found: dict[str, object] = {}
    exec("from minbert import *", found)
    assert sorted(found.keys() - {"__builtins__"}) == sorted(minbert.__all__)


def test_an_error_is_one_class_wherever_it_is_taken_from() -> None:
    assert minbert.MinbertError is MinbertError


def test_an_unknown_name_is_an_attribute_error_with_its_name() -> None:
    with pytest.raises(AttributeError, match="module 'minbert' has no attribute 'trian'"):
        _ = minbert.trian
    with pytest.raises(ImportError, match="cannot import name 'trian'"):
        exec("from minbert import trian")


def test_a_submodule_does_not_take_a_public_names_place() -> None:
    """`minbert.train` stays the function after the module `minbert.training` was imported."""
    import_module("minbert.training")
    assert inspect.isfunction(minbert.train)
