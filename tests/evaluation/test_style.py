"""How figures look: looks that stay, pictures that repeat bit for bit."""

import numpy as np
from PIL import Image

from jaxskills.evaluation import plots, style
from jaxskills.evaluation.run_records import Curve


def test_a_method_keeps_its_look_whatever_else_is_drawn():
  alone, among = style.looks(["sac"]), style.looks(["mine", "spirl", "other", "sac"])
  assert alone["sac"] == among["sac"]
  assert len({(look.color, str(look.dashes)) for look in among.values()}) == 4


def test_colours_of_methods_are_told_apart_in_grey_print_or_by_marker():
  look = style.looks(["spirl", "sac", "bc_sac", "flat_prior", "ssp"]).values()
  assert len({one.marker for one in look}) == len({one.color for one in look}) == 5
  assert len({str(one.dashes) for one in look}) == 5


def test_a_picture_repeats_bit_for_bit_and_is_twice_the_width_of_the_page(tmp_path):
  curve = Curve(np.array([0.0, 2e6]), np.array([[0.0, 1.0]]))
  first, again = (
    style.save(plots.learning_curves({"spirl": curve}), tmp_path / f"{i}.png") for i in range(2)
  )
  assert first.read_bytes() == again.read_bytes()
  with Image.open(first) as image:
    assert image.width == 2080
  assert sorted(path.name for path in tmp_path.iterdir()) == ["0.png", "1.png"]
