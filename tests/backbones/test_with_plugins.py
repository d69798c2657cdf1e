"""WithPlugins refuses what is no base, and a base without entries."""

import pytest
from mmengine.registry import MODELS
from plugged_models import NL, R18, build


def test_plugins_have_to_be_given(in_mmdet):
    with pytest.raises(ValueError, match="plugins=None is not a list of plugin ent"):
        MODELS.build(dict(type="nlse_mm.WithPlugins", plugins=None, **R18))


@pytest.mark.parametrize(
    ("base", "sentence"),
    [
        ("Swim", "mmdet has no model 'Swim'"),
        ("SwinTransfomer", "has no model 'SwinTransfomer'; near .* 'SwinTransformer'"),
        ("nlse_mm.Return", "nlse_mm has no model 'Return'; near it are 'Returns'"),
        ("torch.nn.Swim", "torch has no model 'nn.Swim'"),
        ("nobody.ConvNeXt", "nobody.ConvNeXt is not found: nobody isn't installed"),
    ],
)
def test_a_base_that_does_not_exist_is_refused(in_mmdet, base, sentence):
    with pytest.raises(KeyError, match=sentence):
        build(dict(cfg=NL, output=0), base=base)


def test_a_base_that_is_no_name_is_refused(in_mmdet):
    with pytest.raises(ValueError, match="is not a name, such as 'SwinTransformer'"):
        build(base=dict(type="ResNet", depth=18))
