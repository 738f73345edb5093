"""Contracts of the figures: what is drawn, in which order, legibly, and the same every time."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from digitnet.errors import InputError, StorageError, UsageError
from digitnet.showing import charts, galleries, layers, theme

DIGITS = [str(digit) for digit in range(10)]


# ---------------------------------------------------------------- what the figures are drawn from


def history(epochs: int, *, train: float = 0.93, val: float = 0.98) -> list[Any]:
    """Return a plausible history that begins at the given accuracies."""
    return [
        SimpleNamespace(
            epoch=epoch,
            learning_rate=1e-3,
            train_loss=0.25 / epoch,
            train_accuracy=1 - (1 - train) / epoch**0.8,
            val_loss=0.03 + 0.05 / epoch,
            val_accuracy=1 - (1 - val) / epoch**0.5,
            seconds=1.0,
        )
        for epoch in range(1, epochs + 1)
    ]


def predictions(count: int = 400, misses: int = 60, seed: int = 0) -> Any:
    """Return predictions of ``count`` images, the first ``misses`` of them wrong."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 10
    wrong = np.arange(count) < misses
    sure = rng.uniform(0.5, 1.0, count)
    return SimpleNamespace(
        index=np.arange(count),
        label=label,
        predicted=np.where(wrong, (label + 1) % 10, label),
        probability_label=np.where(wrong, (1 - sure) * rng.uniform(0, 1, count), sure),
        probability_predicted=sure,
    )


def images(count: int = 400) -> np.ndarray:
    """Return uint8 images that can be told apart by any one of their pixels."""
    return np.broadcast_to((np.arange(count) % 251)[:, None, None], (count, 28, 28)).astype(
        np.uint8
    )


def bins(*counts: int) -> list[Any]:
    """Return reliability bins that hold so many images, all a little too sure."""
    edges = np.linspace(0, 1, len(counts) + 1)
    return [
        SimpleNamespace(
            low=low,
            high=high,
            count=count,
            confidence=(low + high) / 2 if count else None,
            accuracy=0.9 * (low + high) / 2 if count else None,
        )
        for low, high, count in zip(edges, edges[1:], counts, strict=False)
    ]


LAYERS = [
    ("input", (1, 28, 28), 0),
    ("convolution 3×3, ReLU", (32, 28, 28), 320),
    ("max pool", (32, 14, 14), 0),
    ("flatten", (6272,), 0),
    ("dense", (10,), 62_730),
]
MATRIX = np.diag([980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
MATRIX[4, 9], MATRIX[7, 2] = 5, 1
RNG = np.random.default_rng(0)
KERNELS = RNG.normal(size=(32, 1, 3, 3)).astype(np.float32)
MAPS = [
    ("convolution", RNG.uniform(0, 1, (32, 28, 28)).astype(np.float32)),
    ("dense", RNG.uniform(0, 1, (64, 1, 1)).astype(np.float32)),
    ("logits", RNG.normal(size=(10, 1, 1)).astype(np.float32)),
]
FEW = (0, 0, 0, 1, 2, 4, 6, 9, 12, 20, 33, 60, 140, 800, 8913)

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "curves": lambda: charts.learning_curves(history(10)),
    "curves, one epoch": lambda: charts.learning_curves(history(1)),
    "curves, one perfect epoch": lambda: charts.learning_curves(history(1, train=1.0, val=1.0)),
    "curves, two epochs": lambda: charts.learning_curves(history(2)),
    "curves, 100 epochs": lambda: charts.learning_curves(history(100)),
    "curves that meet": lambda: charts.learning_curves(history(12, train=0.98, val=0.98)),
    "curves at chance": lambda: charts.learning_curves(history(3, train=0.1, val=0.1)),
    "confusion": lambda: charts.confusion_matrix(MATRIX, DIGITS),
    "confusion, long names": lambda: charts.confusion_matrix(
        MATRIX, [f"T-shirt number {digit}" for digit in DIGITS]
    ),
    "reliability": lambda: charts.reliability_diagram(bins(*FEW), 0.0123),
    "reliability, all alike": lambda: charts.reliability_diagram(bins(*[9999] * 15), 0.1),
    "reliability, nothing": lambda: charts.reliability_diagram(bins(0, 0), 0.0),
    "misses": lambda: galleries.misses_gallery(images(), predictions(), disputed={3, 7}),
    "misses, none": lambda: galleries.misses_gallery(images(), predictions(misses=0)),
    "misses, one": lambda: galleries.misses_gallery(images(), predictions(misses=1)),
    "correct": lambda: galleries.correct_gallery(images(), predictions()),
    "correct, none": lambda: galleries.correct_gallery(images(), predictions(misses=400)),
    "examples": lambda: galleries.examples(images(), np.arange(400) % 10),
    "augmentation": lambda: galleries.augmentation_preview(images(5), np.stack([images(7)] * 5)),
    "augmentation, one copy": lambda: galleries.augmentation_preview(images(2), images(2)[:, None]),
    "filters": lambda: layers.filters(KERNELS),
    "filters, silent": lambda: layers.filters(np.zeros((3, 1, 5, 5), np.float32)),
    "maps": lambda: layers.feature_maps(images(9)[8], MAPS),
    "network": lambda: layers.network_diagram(LAYERS),
}
every_drawing = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())


def root(ax: Axes) -> Figure:
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def words(figure: Figure) -> list[str]:
    """Return every text drawn inside the axes, in drawing order."""
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def shown_texts(figure: Figure) -> Iterator[Text]:
    """Yield all texts that a reader sees, names of axes and of ticks included."""
    for ax in figure.axes:
        yield from ax.texts
        if not ax.axison:
            continue
        yield from (ax.xaxis.label, ax.yaxis.label)
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if low <= tick.get_loc() <= high and tick.label1.get_visible():
                    yield tick.label1


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


# --------------------------------------------------------------------------- all figures together


@every_drawing
def test_words_are_large_inside_and_apart(draw: Callable[[], Figure]) -> None:
    check_words(draw, theme.WIDTH)


@pytest.mark.parametrize(
    "name",
    [
        *("curves", "curves, one epoch", "curves, 100 epochs", "curves that meet"),
        *("reliability", "filters", "maps", "network", "misses", "correct", "examples"),
    ],
)
def test_words_are_large_inside_and_apart_on_a_phone(name: str) -> None:
    check_words(DRAWINGS[name], theme.PHONE_WIDTH)


def check_words(draw: Callable[[], Figure], width: float) -> None:
    with theme.theme(width):
        figure = draw()
    assert figure.get_figwidth() == width
    assert not Gcf.figs, "pyplot knows this figure"
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = [text for text in shown_texts(figure) if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 9, text
        assert min(box.x0, box.y0) >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, box), (other, next_box) in itertools.combinations(zip(texts, boxes, strict=True), 2):
        if one.get_rotation() % 90 and other.get_rotation() % 90:
            continue  # slanted names lie side by side while their boxes overlap
        across = min(box.x1, next_box.x1) - max(box.x0, next_box.x0)
        along = min(box.y1, next_box.y1) - max(box.y0, next_box.y0)
        # A box reaches from the highest to the lowest letter of the font: two pixels are no harm.
        assert across < 0 or along <= 2, (one, other)


@pytest.mark.parametrize("name", ["curves", "confusion", "misses, one", "filters", "maps"])
def test_the_page_of_every_figure_is_white_to_the_edge(name: str) -> None:
    with theme.theme():
        picture = pixels(theme.png_bytes(DRAWINGS[name](), dpi=50))
    for corner in (picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]):
        np.testing.assert_array_equal(corner, 255)


def test_nothing_is_drawn_through_pyplot() -> None:
    for module in (charts, galleries, layers, theme):
        assert "pyplot" not in Path(str(module.__file__)).read_text(encoding="utf-8")


def test_theme_is_the_default_when_light_and_ends_with_its_block() -> None:
    before = dict(mpl.rcParams)
    plain = theme.png_bytes(layers.network_diagram(LAYERS), dpi=50)
    with theme.theme():
        themed = theme.png_bytes(layers.network_diagram(LAYERS), dpi=50)
    assert plain == themed
    assert dict(mpl.rcParams) == before


def test_words_stand_out_from_the_page() -> None:
    palette = theme.LIGHT

    def luminance(colour: str) -> float:
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    page = luminance(palette.page)
    for colour in (palette.text, palette.muted, palette.blue, palette.orange):
        lighter, darker = sorted((luminance(colour), page), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, colour


# ------------------------------------------------------------------------------------------- PNGs


@pytest.mark.parametrize("name", ["curves", "confusion", "reliability", "misses", "maps"])
def test_png_repeats_byte_for_byte(name: str) -> None:
    first = DRAWINGS[name]()
    written = theme.png_bytes(first, dpi=60)
    assert theme.png_bytes(first, dpi=60) == written
    assert theme.png_bytes(DRAWINGS[name](), dpi=60) == written


def test_png_holds_a_picture_of_the_asked_size_and_nothing_else() -> None:
    with Image.open(io.BytesIO(theme.png_bytes(DRAWINGS["filters"](), dpi=100))) as picture:
        assert picture.format == "PNG"
        assert picture.width == 640
        assert set(picture.info) == {"dpi"}
        assert picture.info["dpi"] == pytest.approx((100, 100), abs=0.1)


def test_few_colours_are_enough() -> None:
    figure = DRAWINGS["filters"]()
    exact = io.BytesIO()
    with mpl.rc_context({"text.hinting": "none"}):
        figure.savefig(exact, format="png", dpi=100)
    difference = np.abs(
        pixels(theme.png_bytes(figure, dpi=100)).astype(int) - pixels(exact.getvalue())
    )
    assert difference[:-2, :-2].max() <= 16


def test_save_png_writes_the_same_bytes_and_no_leftover(tmp_path: Any) -> None:
    figure = DRAWINGS["network"]()
    theme.save_png(figure, tmp_path / "figures" / "network.png", dpi=60)
    written = (tmp_path / "figures" / "network.png").read_bytes()
    assert written == theme.png_bytes(figure, dpi=60)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["network.png"]


def test_save_png_says_where_it_could_not_write(tmp_path: Any) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        theme.save_png(Figure(), tmp_path / "file" / "network.png")


# ----------------------------------------------------------------------------------------- curves


def test_learning_curves_draw_both_splits_of_both_quantities() -> None:
    rows = history(10)
    above, below = charts.learning_curves(rows).axes
    assert above.get_ylabel() == "Accuracy (%)"
    assert below.get_ylabel() == "Loss (cross-entropy)"
    assert below.get_xlabel() == "Epoch"
    for ax, scale, names in (
        (above, 100, ("train_accuracy", "val_accuracy")),
        (below, 1, ("train_loss", "val_loss")),
    ):
        assert [line.get_label() for line in ax.lines] == ["training", "validation"]
        for line, name in zip(ax.lines, names, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), range(1, 11))
            np.testing.assert_allclose(
                line.get_ydata(), [scale * getattr(row, name) for row in rows]
            )


def test_the_last_values_stand_at_the_line_ends() -> None:
    rows = history(10)
    written = words(charts.learning_curves(rows))
    assert f"validation\n{100 * rows[-1].val_accuracy:.2f} %" in written
    assert f"training\n{100 * rows[-1].train_accuracy:.2f} %" in written
    assert f"validation\n{rows[-1].val_loss:.4f}" in written
    assert f"training\n{rows[-1].train_loss:.4f}" in written


@pytest.mark.parametrize("epochs", [1, 2, 3, 10, 13, 30, 100])
def test_epochs_are_whole_and_were_run(epochs: int) -> None:
    ax = charts.learning_curves(history(epochs)).axes[0]
    ticks = ax.get_xticks()
    assert len(ticks) >= min(epochs, 5)
    assert all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)


def test_curves_go_on_where_a_resumed_run_began() -> None:
    ax = charts.learning_curves(history(8)[5:]).axes[1]
    np.testing.assert_array_equal(ax.get_xticks(), [6, 7, 8])


def test_a_poor_first_epoch_is_told_rather_than_flattening_the_rest() -> None:
    ax = charts.learning_curves(history(10, train=0.5, val=0.985)).axes[0]
    assert ax.get_ylim()[0] > 60
    assert any("off the scale in epoch 1: training 50.00 %" in text for text in words(root(ax)))


def test_every_later_value_lies_on_the_scale() -> None:
    for epochs in (1, 2, 5, 50):
        for ax in charts.learning_curves(history(epochs)).axes:
            low, high = ax.get_ylim()
            start = 0 if epochs < 4 else 1
            for line in ax.lines:
                values = np.asarray(line.get_ydata())[start:]
                assert (low <= values).all()
                assert (values <= high).all()


def test_accuracy_axis_ends_at_100_percent() -> None:
    ax = charts.learning_curves(history(5, train=0.9, val=1.0)).axes[0]
    low, high = ax.get_ylim()
    assert not [tick for tick in ax.get_yticks() if tick > 100 and low <= tick <= high]


def test_a_loss_that_is_no_number_does_not_spoil_the_figure() -> None:
    rows = history(3)
    for row in rows:
        row.train_loss = row.val_loss = float("nan")
    theme.png_bytes(charts.learning_curves(rows), dpi=50)


def test_an_empty_history_is_refused() -> None:
    with pytest.raises(InputError, match="at least one epoch"):
        charts.learning_curves([])


# ------------------------------------------------------------------------------- confusion matrix


def test_confusion_matrix_writes_every_count_in_its_cell() -> None:
    (ax,) = charts.confusion_matrix(MATRIX, DIGITS).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted digit", "True digit")
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert len(written) == 100
    for (true, predicted), count in np.ndenumerate(MATRIX):
        assert written[predicted, true] == str(count)
    assert [label.get_text() for label in ax.get_yticklabels()] == DIGITS


def test_only_mistakes_are_coloured_and_more_of_them_more() -> None:
    with theme.theme():
        cells = charts.confusion_matrix(MATRIX, DIGITS).axes[0].images[0].get_array()
    assert cells is not None
    diagonal = cells[range(10), range(10), :3]
    np.testing.assert_allclose(diagonal, np.tile(to_rgb(theme.LIGHT.panel), (10, 1)))
    none, one, five = (np.asarray(cells[cell][:3]) for cell in ((0, 1), (7, 2), (4, 9)))
    np.testing.assert_allclose(none, to_rgb(theme.LIGHT.page))
    assert five.sum() < one.sum() < none.sum() - 0.2


def test_confusion_matrix_takes_the_tuples_of_metrics_and_no_mistakes() -> None:
    (ax,) = charts.confusion_matrix(((3, 0), (0, 4)), ("0", "1")).axes
    assert [text.get_text() for text in ax.texts] == ["3", "0", "0", "4"]


@pytest.mark.parametrize("shape", [(10, 9), (9, 9), (10,)])
def test_a_matrix_that_does_not_fit_its_names_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="one row and one column for each name"):
        charts.confusion_matrix(np.zeros(shape, int), DIGITS)


# ------------------------------------------------------------------------------------ calibration


def test_reliability_draws_filled_bins_only() -> None:
    figure = charts.reliability_diagram(bins(*FEW), ece=0.0123)
    above, below = figure.axes
    filled = [each for each in bins(*FEW) if each.count]
    points = above.lines[1]
    np.testing.assert_allclose(points.get_xdata(), [100 * each.confidence for each in filled])
    np.testing.assert_allclose(points.get_ydata(), [100 * each.accuracy for each in filled])
    assert len(below.patches) == len(filled)
    assert below.get_yscale() == "log"
    assert [text.get_text() for text in below.texts] == [f"{each.count}" for each in filled]
    assert any("1.23 %" in text for text in words(figure))


def test_the_diagonal_is_where_confidence_equals_accuracy() -> None:
    diagonal = charts.reliability_diagram(bins(*FEW), 0.0).axes[0].lines[0]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())


def test_intervals_are_wider_where_images_are_fewer() -> None:
    (lines,) = charts.reliability_diagram(bins(*FEW), 0.0).axes[0].collections
    lengths = [np.ptp(path.vertices[:, 1]) for path in lines.get_paths()]
    assert lengths[0] > 50 > 2 > lengths[-1]


# -------------------------------------------------------------------------------------- galleries


def tile_at(figure: Figure, x: float, y: float) -> float:
    """Return the ink drawn at a place given in inches from the upper left corner."""
    ax = figure.axes[0]
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    values = image.get_array()
    assert values is not None
    row = int((y - top) / (bottom - top) * values.shape[0])
    column = int((x - left) / (right - left) * values.shape[1])
    return float(values[row, column])


def test_misses_are_drawn_worst_first_with_their_numbers() -> None:
    given = predictions()
    order = sorted(
        range(60), key=lambda row: (-given.probability_predicted[row], given.probability_label[row])
    )[:40]
    figure = galleries.misses_gallery(images(), given)
    written = words(figure)
    assert [text for text in written if text.startswith("#")] == [f"#{row}" for row in order]
    arrows = [text for text in written if "→" in text and len(text) == 5]
    assert arrows == [f"{given.label[row]} → {given.predicted[row]}" for row in order]
    worst = order[0]
    assert f"{given.predicted[worst]}: {100 * given.probability_predicted[worst]:.1f} %" in written
    assert written[0] == "The worst 40 of 60 misses"


def test_each_miss_stands_beside_its_own_picture() -> None:
    figure = galleries.misses_gallery(images(), predictions())
    for text in figure.axes[0].texts:
        if text.get_text().startswith("#"):
            x, y = text.get_position()
            assert tile_at(figure, x - 0.3, y) == pytest.approx(int(text.get_text()[1:]) / 255)


def test_equal_misses_are_ordered_by_the_true_digit_then_by_index() -> None:
    given = predictions(count=10, misses=4)
    given.probability_predicted[:] = 0.9
    given.probability_label[:4] = [0.05, 0.01, 0.05, 0.02]
    written = words(galleries.misses_gallery(images(10), given))
    assert [text for text in written if text.startswith("#")] == ["#1", "#3", "#0", "#2"]


def test_index_points_into_the_images_whatever_the_order_of_rows() -> None:
    given = predictions(count=10, misses=1)
    given.index[0] = 250
    figure = galleries.misses_gallery(images(251), given)
    assert "#250" in words(figure)
    assert tile_at(figure, 0.5, 0.8) == pytest.approx(250 / 255)


def test_certainty_is_never_printed_of_a_miss() -> None:
    given = predictions(count=10, misses=1)
    given.probability_predicted[0], given.probability_label[0] = 0.99999, 1e-6
    written = words(galleries.misses_gallery(images(10), given))
    assert "1: >99.9 %" in written
    assert "0: <0.1 %" in written


def test_disputed_labels_are_marked_and_explained() -> None:
    figure = galleries.misses_gallery(images(), predictions(misses=5), disputed=(2, 399))
    written = words(figure)
    assert [text for text in written if text.startswith("#") and "◆" in text] == ["#2 ◆"]
    assert len(figure.axes[0].patches) == 1
    assert "label disputed" in written[1]
    assert "disputed" not in words(galleries.misses_gallery(images(), predictions()))[1]


def test_no_misses_is_good_news_and_not_an_error() -> None:
    figure = galleries.misses_gallery(images(), predictions(misses=0))
    assert words(figure) == ["No misses", "all 400 pictures were read correctly"]
    assert not figure.axes[0].images


def test_a_gallery_costs_one_image() -> None:
    for name in ("misses", "correct", "examples", "augmentation"):
        figure = DRAWINGS[name]()
        assert len(figure.axes) == 1
        assert len(figure.axes[0].images) == 1


def test_correct_gallery_shows_only_what_is_right_from_sure_to_unsure() -> None:
    given = predictions()
    figure = galleries.correct_gallery(images(), given, per_class=4)
    below = [text for text in figure.axes[0].texts if "%" in text.get_text()]
    assert len(below) == 40
    for digit in range(10):
        shares = [float(text.get_text()[:-2]) for text in below[4 * digit : 4 * digit + 4]]
        assert shares == sorted(shares, reverse=True)
        right = (given.label == digit) & (given.predicted == digit)
        best = given.probability_predicted[right].max()
        assert shares[0] == pytest.approx(100 * best, abs=0.06)
        assert len({text.get_position()[0] for text in below[4 * digit : 4 * digit + 4]}) == 1


def test_correct_gallery_leaves_a_column_empty_for_a_digit_never_read() -> None:
    given = predictions(misses=0)
    given.predicted[given.label == 3] = 5
    figure = galleries.correct_gallery(images(), given, per_class=2)
    assert len([text for text in words(figure) if "%" in text]) == 18
    assert [text for text in words(figure) if text in DIGITS] == DIGITS


def test_correct_gallery_of_nothing_says_so() -> None:
    figure = galleries.correct_gallery(images(), predictions(misses=400))
    assert words(figure) == ["Recognised: nothing", "no picture was read correctly"]


def test_examples_are_the_first_of_each_class() -> None:
    figure = galleries.examples(images(), np.arange(400) % 10, per_class=8)
    assert words(figure) == DIGITS
    y = figure.axes[0].texts[3].get_position()[1]
    assert [round(255 * tile_at(figure, 0.8 + 0.73125 * k, y)) for k in range(3)] == [3, 13, 23]


def test_augmentation_shows_original_then_copies() -> None:
    copies = np.stack([images(30)[10:14], images(30)[20:24]])
    figure = galleries.augmentation_preview(images(2), copies)
    assert words(figure) == ["original", "distorted copies"]
    assert round(255 * tile_at(figure, 0.4, 0.7)) == 0
    assert round(255 * tile_at(figure, 1.5, 0.7)) == 10
    assert round(255 * tile_at(figure, 1.5, 1.6)) == 20


def test_floating_point_images_look_like_bytes() -> None:
    floats = (images() / 255).astype(np.float32)
    one = theme.png_bytes(galleries.examples(images(), np.arange(400) % 10), dpi=60)
    two = theme.png_bytes(galleries.examples(floats, np.arange(400) % 10), dpi=60)
    assert np.abs(pixels(one).astype(int) - pixels(two)).max() <= 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda: galleries.misses_gallery(images(), predictions(), limit=0),
        lambda: galleries.correct_gallery(images(), predictions(), per_class=-1),
        lambda: galleries.examples(images(), np.arange(400) % 10, per_class=0),
        lambda: layers.feature_maps(images(1)[0], MAPS, limit=0),
    ],
)
def test_a_count_below_one_is_refused(draw: Callable[[], Figure]) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: galleries.misses_gallery(images(5), predictions()), "images go from 0 to 4"),
        (lambda: galleries.misses_gallery(images()[:, None], predictions()), r"\(40, 1, 28, 28\)"),
        (lambda: galleries.examples(images(5), np.arange(4)), "5 images and 4 labels"),
        (lambda: galleries.examples(images(0), np.arange(0)), "at least one"),
        (lambda: galleries.augmentation_preview(images(2), images(2)), "needs 4 dimensions"),
        (
            lambda: galleries.augmentation_preview(images(2), images(3)[:, None]),
            "2 originals and 1 copies of 3",
        ),
        (lambda: layers.feature_maps(images(1), MAPS), "needs 2 dimensions"),
        (lambda: layers.feature_maps(images(1)[0], [("x", np.zeros((1, 2)))]), r"layer 'x'"),
        (lambda: layers.filters(np.zeros((8, 3, 3, 3))), "first convolution"),
        (lambda: layers.network_diagram([]), "at least one"),
        (lambda: layers.network_diagram([("x", (3, 3), 0)]), r"'x' has the output shape \(3, 3\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw()


# ----------------------------------------------------------------------------------------- layers


def test_filters_share_one_scale_symmetric_about_zero() -> None:
    figure = layers.filters(KERNELS)
    reach = float(np.abs(KERNELS).max())
    for image in figure.axes[0].images:
        assert image.get_clim() == pytest.approx((-reach, reach))
    assert [text for text in words(figure) if text.isdigit()][-32:] == [str(n) for n in range(32)]
    assert words(figure)[0] == "32 filters of 3×3 weights"


def test_zero_is_the_quiet_colour_of_filters() -> None:
    image = layers.filters(KERNELS).axes[0].images[0]
    middle = np.array(image.to_rgba(0.0)[:3])
    assert np.abs(middle - to_rgb(theme.LIGHT.panel)).max() < 0.02


def test_feature_maps_name_each_layer_and_give_it_its_own_scale() -> None:
    loud = [(name, values * 10**k) for k, (name, values) in enumerate(MAPS)]
    figure = layers.feature_maps(images(1)[0], loud)
    written = words(figure)
    for name, note in (
        ("convolution", "16 of 32 maps of 28×28"),
        ("dense", "64 numbers"),
        ("logits", "10 numbers"),
    ):
        assert written[written.index(name) + 1] == note
    _, first, second, third = figure.axes[0].images
    assert first.get_clim()[1] <= 1 < second.get_clim()[1] <= 10 < third.get_clim()[1]
    assert first.get_clim()[0] == 0
    assert third.get_clim()[0] == -third.get_clim()[1]


def test_feature_maps_do_without_any_layer() -> None:
    assert len(layers.feature_maps(images(1)[0], []).axes[0].images) == 1


def test_network_diagram_tells_shapes_and_parameters() -> None:
    written = words(layers.network_diagram(LAYERS))
    assert written[0] == "63,050 parameters in 2 layers"
    for expected in (
        "input",
        "1 image of 28×28",
        "32 maps of 14×14",
        "6,272 numbers",
        "320 parameters",
        "62,730 parameters",
    ):
        assert expected in written
    assert len([text for text in written if text.endswith("parameters")]) == 2


def test_lines_are_as_long_as_the_share_of_parameters() -> None:
    lines = layers.network_diagram([("a", (4,), 100), ("b", (4,), 300)]).axes[0].lines
    short, long = (np.ptp(line.get_xdata()) for line in lines)
    assert long == pytest.approx(3 * short)


def test_a_network_that_learns_nothing_can_be_drawn() -> None:
    assert words(layers.network_diagram([("flatten", (784,), 0)]))[0] == "0 parameters in 0 layers"
