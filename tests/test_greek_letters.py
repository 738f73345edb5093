"""Greek letters that no digit is mistaken for."""

import numpy as np

from digitnet.synthesis.greek_letters import greek_letter


def test_letters_are_strokes_of_about_a_unit_that_the_generator_decides() -> None:
    drawn = [greek_letter(np.random.default_rng(seed)) for seed in range(60)]
    for strokes in drawn:
        points = np.concatenate(strokes)
        assert points.dtype == np.float64
        assert points.shape[1] == 2
        assert 0.6 < np.ptp(points, axis=0).max() < 2
    again = greek_letter(np.random.default_rng(5))
    assert all((a == b).all() for a, b in zip(again, drawn[5], strict=True))
    assert len({len(strokes) for strokes in drawn}) == 3
    assert len({np.concatenate(strokes).tobytes() for strokes in drawn}) == len(drawn)
