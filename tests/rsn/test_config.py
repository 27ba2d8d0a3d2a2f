"""Settings: ranges, names, and the way from a recipe and flags to a run and back."""

import math

import pytest

from rsgt.inputs import InputError
from rsn import config as settings
from rsn.config import Config, all_keys, from_plain, read_recipe, to_plain, to_toml, with_overrides


def test_the_defaults_are_the_papers():
    config = Config()
    assert config.network.width == 64
    assert config.data.size == (480, 640)
    assert config.data.batch_size == 4
    assert config.data.rotation == 10
    assert config.loss.iteration_weights == (0.2, 0.3, 0.5)
    assert config.loss.linear_epochs == 17
    assert (config.optimizer.optimizer, config.optimizer.lr) == ("sgd", 1e-3)
    assert (config.optimizer.momentum, config.optimizer.weight_decay) == (0.99, 5e-4)


def test_every_key_has_one_name_so_that_it_can_be_a_flag():
    names = [item.name for _, item, _ in all_keys()]
    assert len(set(names)) == len(names)
    assert all(item.metadata["help"] for _, item, _ in all_keys())


def test_toml_written_and_read_is_the_same_config(tmp_path):
    config = from_plain(
        {
            "network": {"model": "rsn", "iterations": 2, "generation": 'a "b"\\c.ckpt'},
            "data": {"size": [120, 160]},
            "loss": {"iteration_weights": [0.4, 0.6]},
            "optimizer": {"lr": 3e-5},
            "run": {"compile": True},
        }
    )
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert from_plain(read_recipe(path)) == config
    assert from_plain(to_plain(config)) == config


def test_a_flag_lies_over_the_recipe_and_leaves_it_as_it_was():
    recipe = {"optimizer": {"lr": 1.0, "clip": 2.0}}
    merged = with_overrides(
        recipe, {"lr": "0.5", "size": "24x32", "cache": True, "iteration_weights": "1,2,3"}
    )
    config = from_plain(merged)
    assert (config.optimizer.lr, config.optimizer.clip) == (0.5, 2.0)
    assert config.data.size == (24, 32)
    assert config.loss.iteration_weights == (1, 2, 3)
    assert recipe == {"optimizer": {"lr": 1.0, "clip": 2.0}}


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"optimiser": {}}, "did you mean 'optimizer'"),
        ({"data": {"batchsize": 4}}, "did you mean 'batch_size'"),
        ({"data": 3}, r"expected a section \[data\]"),
        ({"optimizer": {"lr": -1}}, "lr: got -1.0, expected 0 or more"),
        ({"optimizer": {"lr": math.nan}}, "lr: got nan"),
        ({"optimizer": {"lr": "fast"}}, "lr: got 'fast', expected a value of type float"),
        ({"run": {"epochs": 1.5}}, "epochs: got 1.5, expected a value of type int"),
        ({"run": {"epochs": True}}, "epochs: got True"),
        ({"run": {"epochs": math.inf}}, "epochs: got inf"),
        ({"run": {"compile": 1}}, "compile: got 1, expected a value of type bool"),
        ({"data": {"validation": 0.95}}, "expected a value from 0 to 0.9"),
        ({"data": {"size": "480"}}, "expected two numbers such as 480x640"),
        ({"data": {"size": [480, 640, 3]}}, "expected two numbers such as 480x640"),
        ({"data": {"size": [4, 640]}}, "size: got 4, expected 8 or more"),
        ({"network": {"encoder": "vgg"}}, "expected one of resnet34, efficientnet_lite0, efficientnet_lite2"),
        ({"data": {"batch_size": 6}, "optimizer": {"accumulate": 4}}, "expected a multiple of devices"),
        ({"network": {"model": "rsn", "iterations": 2}}, "got 3 weights for 2 iterations"),
        ({"network": {"model": "refinement"}, "loss": {"category_weight": 1}}, "predicts no categories"),
        ({"network": {"frozen_stages": 2}}, "frozen_stages: got 2 for an encoder of random weights"),
        ({"loss": {"iteration_weights": []}}, "iteration_weights: got"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(plain, message):
    with pytest.raises(InputError, match=message):
        from_plain(plain)


def test_an_unknown_flag_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        with_overrides({}, {"epoch": 3})


@pytest.mark.parametrize("text", [None, "lr = ", b"\xff\xfe\x00"])
def test_a_recipe_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "recipe.toml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"recipe\.toml"):
        read_recipe(path)


def test_sections_are_the_fields_of_config():
    assert list(settings.SECTIONS) == list(to_plain(Config()))
