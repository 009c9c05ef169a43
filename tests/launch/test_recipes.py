"""What a recipe leaves to be chosen, and what it says where it cannot be."""

import pytest
from omegaconf import OmegaConf

from fpainter.launch.configs import CONFIG_DIR, composed, what_is_wrong
from fpainter.launch.resolvers import register

GROUPS = ["augment", "ema", "head", "learning_rule", "loss", "phases", "regulariser", "schedule"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("recipe", ["demo", "small64"])
def test_every_option_has_an_effect(recipe: str, group: str) -> None:
    """A recipe that sets what options set, instead of choosing one, makes them all the same."""
    register()
    models: dict[str, str] = {}
    for path in sorted((CONFIG_DIR / "model" / group).glob("*.yaml")):
        config = composed("train", [f"experiment={recipe}", f"model/{group}={path.stem}"])
        model = OmegaConf.to_yaml(config.model)
        assert model not in models, f"as {models[model]}"
        models[model] = path.stem
        schedules = (config.model.schedules or {}).values()
        assert all(each is None or "_target_" in each for each in schedules)
    assert len(models) > 1


def test_a_recipe_of_painters_names_the_one_for_any_model() -> None:
    arguments = ["experiment=demo", "model=stylegan2"]
    with pytest.raises(Exception, match="Could not override") as error:
        composed("train", arguments)
    assert what_is_wrong("train", arguments, error.value) == (
        "experiment=small chooses model/head, which the model that is given does not have; "
        "experiment=small_any is a recipe for any model"
    )
