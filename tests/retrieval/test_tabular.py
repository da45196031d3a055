"""What a notebook shows of results, and what pandas makes of them."""

import numpy as np

from hf_stilts.data.check import Checked, CheckReport
from hf_stilts.hub.checkpoints import Checkpoint, CheckpointList, Verification
from hf_stilts.hub.record import Record
from hf_stilts.retrieval.mining import BitextPairs


def pairs(count):
    rows = np.arange(count, dtype=np.int64)
    return BitextPairs(rows, rows + 1, np.linspace(2.0, 1.0, count), {"k": 4, "margin": "ratio"})


def test_pairs_are_short_and_a_table():
    many = pairs(1000)
    assert repr(many) == "<BitextPairs: 1000 pairs, scores 2.000 to 1.000, k=4, margin='ratio'>"
    assert repr(pairs(0)) == "<BitextPairs: 0 pairs, k=4, margin='ratio'>"
    frame = many.to_pandas()
    assert frame.columns.tolist() == ["source", "target", "score"] and len(frame) == 1000
    assert (frame["target"] == frame["source"] + 1).all()
    assert many._repr_html_().count("<tr") < 30, "a notebook is not flooded"


def test_reports_are_short_and_a_table():
    report = CheckReport("mnli", tuple(Checked("en", split, 8) for split in ("train", "validation")))
    assert repr(report) == "<CheckReport: 2 rows; to_pandas() has them>"
    assert report.to_pandas()["split"].tolist() == ["train", "validation"]
    assert "<td>validation</td>" in report._repr_html_()
    found = Verification(Checkpoint("org/x"), ("a",), ("b",), ()).to_pandas()
    assert found["state"].tolist() == ["unchanged", "differs"]


def test_what_others_wrote_is_escaped_in_a_notebook():
    listed = CheckpointList([Checkpoint("org/<script>", commit="0" * 40, record=Record(step=3))])
    assert listed == [listed[0]] and len(repr(listed)) < 80 and "recipe" not in repr(listed[0])
    shown = listed._repr_html_()
    assert "org/&lt;script&gt;" in shown and "<script>" not in shown
    assert listed.to_pandas().loc[0, "step"] == 3
