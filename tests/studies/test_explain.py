"""What explains gains: correlations, intervals, regression and left-out languages have the values of made-up gains."""

import json

import numpy as np
import pytest
import result_files
from command import run
from result_files import one

pytest.importorskip("statsmodels")
stats = pytest.importorskip("scipy.stats")

from hf_stilts.errors import StiltsError  # noqa: E402
from hf_stilts.languages import LANGUAGES  # noqa: E402
from hf_stilts.studies.explain import explain  # noqa: E402

CODES = ("de", "fr", "fi", "tr", "sw", "hi", "th", "zh")
NEAR = dict(zip(CODES, (0.8, 0.7, 0.4, 0.35, 0.3, 0.2, 0.1, 0.05), strict=True))
SIZE = {code: np.log10(LANGUAGES[code].cc100_mb) for code in CODES}
NOISE = dict(zip(CODES, (0.5, -0.5, 0.25, -0.25, 0.5, -0.5, 0.25, -0.25), strict=True))


def runs(folder, gain):
    before = {("xnli", "en"): 80.0} | {("xnli", code): 50.0 for code in CODES}
    after = {("xnli", "en"): 81.0} | {("xnli", code): 50.0 + gain(code) for code in CODES}
    result_files.write(folder / "none", "none", before)
    result_files.write(folder / "mnli", "mnli", after)
    return [folder / "none", folder / "mnli"]


def alike(**others):
    """Similarities to English, in either order, and one pair that is not about it."""
    rows = [{"first": "en", "second": code, "near": NEAR[code]} for code in CODES]
    rows[0] |= {"first": "de", "second": "en"}
    rows.append({"first": "de", "second": "fr", "near": 0.5})
    return [row | {name: of.get(row["second"]) for name, of in others.items()} for row in rows]


def test_a_gain_that_similarity_and_size_make_up(tmp_path):
    results = runs(tmp_path, lambda code: 10 * NEAR[code] - 2 * SIZE[code])
    found = explain(results, alike(), ["near"], bootstrap=50)
    row = one(found.correlations, measure="near")
    assert (row["intermediate"], row["task"], row["languages"]) == ("mnli", "xnli", 8)
    # What is left of both when size is taken out is one line, and each language follows from the others.
    assert row["partial"] == pytest.approx(1) and row["partial_p"] < 1e-6
    assert row["error"] == pytest.approx(0, abs=1e-9) and row["error_of_mean"] > 1
    near, size = one(found.regression, term="near"), one(found.regression, term="log_cc100")
    assert near["coefficient"] == pytest.approx(10 * np.std(list(NEAR.values()), ddof=1))
    assert size["coefficient"] == pytest.approx(-2 * np.std(list(SIZE.values()), ddof=1))
    assert near["r2"] == pytest.approx(1) and near["languages"] == 8
    assert one(found.points, language="de")["gain"] == pytest.approx(8 - 2 * SIZE["de"])
    assert found.rows() is found.correlations and found.notes == []


def test_correlations_are_scipys_and_the_formulas(tmp_path):
    results = runs(tmp_path, lambda code: 10 * NEAR[code] + NOISE[code])
    row = one(explain(results, alike(), ["near"]).correlations, measure="near")
    x, z = (np.array([of[code] for code in CODES]) for of in (NEAR, SIZE))
    y = 10 * x + np.array([NOISE[code] for code in CODES])
    assert row["pearson"] == pytest.approx(np.corrcoef(x, y)[0, 1])
    # Ranks of x are 8 ... 1; Spearman is 1 less 6 sum(d^2) / (n (n^2 - 1)).
    ranks = np.argsort(np.argsort(y)) + 1
    assert row["spearman"] == pytest.approx(1 - 6 * ((ranks - np.arange(8, 0, -1)) ** 2).sum() / (8 * 63))
    xy, xz, yz = (np.corrcoef(one, other)[0, 1] for one, other in ((x, y), (x, z), (y, z)))
    assert row["partial"] == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    t = row["partial"] * np.sqrt(5 / (1 - row["partial"] ** 2))
    assert row["partial_p"] == pytest.approx(2 * stats.t.sf(abs(t), 5))
    errors = []
    for place in range(8):
        kept = np.arange(8) != place
        design = np.column_stack([np.ones(8), x, z])
        fitted = np.linalg.lstsq(design[kept], y[kept], rcond=None)[0]
        errors.append(abs(design[place] @ fitted - y[place]))
    assert row["error"] == pytest.approx(np.mean(errors))
    assert row["pearson_low"] < row["pearson"] < row["pearson_high"] <= 1 and row["p_holm"] == row["spearman_p"]


def test_intervals_draw_languages_and_follow_the_seed(tmp_path):
    results = runs(tmp_path, lambda code: 10 * NEAR[code] + NOISE[code])
    first, second, other = (
        one(explain(results, alike(), ["near"], bootstrap=200, seed=seed).correlations, measure="near")
        for seed in (1, 1, 2)
    )
    assert first == second and first["pearson_low"] != other["pearson_low"]
    x = np.array([NEAR[code] for code in CODES])
    y = 10 * x + np.array([NOISE[code] for code in CODES])
    drawn = np.random.default_rng(0).integers(0, 8, (4000, 8))
    expected = np.percentile([np.corrcoef(x[rows], y[rows])[0, 1] for rows in drawn if np.ptp(rows)], 2.5)
    assert first["pearson_low"] == pytest.approx(expected, abs=0.02)


def test_several_measures_are_corrected_and_gaps_are_said(tmp_path):
    results = runs(tmp_path, lambda code: 10 * NEAR[code] + NOISE[code])
    far = {code: -NEAR[code] for code in CODES}
    few = dict.fromkeys(CODES[1:4], 0.5)
    found = explain(results, alike(far={**far, "en": -0.8}, few=few), ["near", "far", "few"], bootstrap=0)
    near = one(found.correlations, measure="near")
    assert near["p_holm"] == pytest.approx(min(1, 2 * near["spearman_p"])) and near["pearson_low"] is None
    assert one(found.correlations, measure="far")["pearson"] == pytest.approx(-near["pearson"])
    # "few" has three languages; and there is no regression where one term is the negative of another.
    assert "few is known of 3 languages" in found.notes[0] and "no regression" in found.notes[1]
    assert found.regression == []


def test_scores_and_mistakes(tmp_path):
    results = runs(tmp_path, lambda code: 10 * NEAR[code])
    found = explain(results[1:], alike(), ["near"], outcome="score", bootstrap=0)
    assert one(found.points, language="de")["gain"] == 58 and found.correlations[0]["pearson"] == pytest.approx(1)
    assert found.correlations[0]["partial"] == pytest.approx(1)
    with pytest.raises(StiltsError, match="Did you mean near"):
        explain(results, alike(), ["naer"])
    with pytest.raises(StiltsError, match="fewer than 5"):
        explain(results, alike()[:3], ["near"])


def test_command(tmp_path):
    pytest.importorskip("matplotlib")
    results = runs(tmp_path, lambda code: 10 * NEAR[code] + NOISE[code])
    table = tmp_path / "table.tsv"
    table.write_text("first\tsecond\tnear\n" + "".join(f"en\t{code}\t{NEAR[code]}\n" for code in CODES))
    words = ["similarity", "--table", table, "--explain", results[0], "--explain", results[1], "--bootstrap", "20"]
    code, text = run(*words, "--picture", tmp_path / "points.png", "--json")
    found = json.loads(text)
    assert code == 0 and one(found["correlations"], measure="near")["languages"] == 8
    assert (tmp_path / "points.png").stat().st_size > 5000
    code, text = run(*words)
    assert code == 0 and "spearman" in text and f"{found['correlations'][0]['spearman']:.2f} [" in text
    with pytest.raises(StiltsError, match="--picture is of --explain"):
        mistake("similarity", "--table", table, "--picture", "a.png")
    with pytest.raises(StiltsError, match="Type: --to en"):
        mistake(*words, "--to", "en,de")


def mistake(*words):
    try:
        run(*words)
    except AssertionError as error:
        raise error.args[0] from None
