"""A README.md that is there already: what people wrote in it stays, word by word, the generated part is made anew."""

from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pending_checkpoints import api_of
from test_card import FULL

from hf_stilts.errors import StiltsError
from hf_stilts.hub.card import licence_of, render
from hf_stilts.hub.existing_card import BEGIN, END
from hf_stilts.hub.record import Record, TaskSource

NEXT = replace(FULL, step=4000, metrics={"mnli_accuracy": 0.9}, languages=("en",))
UNKNOWN = Record(tasks=(TaskSource("mine"),), step=2)


def front(card):
    return yaml.safe_load(card.split("---\n")[1])


def body(card):
    return card.split("---\n", 2)[2]


def written_over(there, record=FULL, **about):
    return render(record, "me/x", f"step-{record.step}", there=there, **about)


def test_a_hand_written_card_stays_and_ours_comes_after_it():
    mine = "---\nlicense: mit\ntags: [medical]\nlanguage: xh\ngated: please ask\n---\n# Mine\n\nMy *words*.\n"
    card = written_over(mine, UNKNOWN)
    assert body(card).startswith(f"\n# Mine\n\nMy *words*.\n\n{BEGIN}\n\n# x\n")
    assert card.endswith(f"{END}\n")
    about = front(card)
    assert about["license"] == "mit", "and not unknown"
    assert about["tags"] == ["hf_stilts", "stilts", "stilts-phase-intermediate", "stilts-task-mine", "medical"]
    assert about["language"] == ["xh"]
    assert about["gated"] == "please ask"
    assert "mit, as the owner of this repository states." in card


def test_between_two_checkpoints_edits_stay_and_what_was_generated_goes():
    first = written_over(None)
    edited = first.replace("license: cc-by-4.0", "license: cc-by-nc-4.0").replace("- stilts\n", "- stilts\n- mine\n")
    edited = edited.replace(BEGIN, f"About us.\r\n\r\n{BEGIN}") + "\n## Thanks\n"
    second = written_over(edited, NEXT, before=FULL)
    assert second.count(BEGIN) == second.count(END) == 1
    assert "About us.\r\n\r\n" in second and second.endswith(f"{END}\n\n## Thanks\n")
    assert "This is `step-4000`" in second and "step-2000" not in second
    about = front(second)
    assert about["license"] == "cc-by-nc-4.0"
    assert "mine" in about["tags"] and "stilts-task-mnli" in about["tags"]
    assert about["language"] == ["en"], "et was generated for the checkpoint before"
    scores = [result["metrics"][0]["value"] for result in about["model-index"][0]["results"]]
    assert scores == [0.9], "a score of another step is not of this one"


def test_a_score_that_somebody_added_stays_beside_ours():
    first = written_over(None)
    own = {"task": {"type": "x"}, "dataset": {"name": "d", "type": "me/d"}, "metrics": [{"type": "f1", "value": 0.5}]}
    about = front(first)
    about["model-index"][0]["results"].append(own)
    edited = f"---\n{yaml.safe_dump(about, sort_keys=False)}---\n{body(first)}"
    results = front(written_over(edited, NEXT, before=FULL))["model-index"][0]["results"]
    assert results[-1] == own and len(results) == 2


def test_what_was_said_of_another_model_is_not_said_of_this_one():
    there = "---\npipeline_tag: fill-mask\nbase_model: org/other\nlicense: mit\nlibrary_name: keras\n---\nText\n"
    about = front(written_over(there, another_model=True))
    assert (about["pipeline_tag"], about["library_name"]) == ("text-classification", "transformers")
    assert (about["base_model"], about["license"]) == ("FacebookAI/xlm-roberta-base", "mit")
    assert front(written_over(there))["pipeline_tag"] == "fill-mask", "written for the model that is to come"


def test_a_card_of_a_version_without_marks_is_ours():
    old = "".join(line for line in written_over(None).splitlines(keepends=True) if "hf_stilts: " not in line)
    assert BEGIN not in old and END not in old
    assert written_over(old, NEXT, before=FULL) == written_over(written_over(None), NEXT, before=FULL)


@pytest.mark.parametrize("left", [BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_mark_alone_is_no_reason_to_drop_what_is_around_it(left):
    card = written_over(f"Above.\n{left}\nBelow.\n")
    assert body(card).startswith(f"\nAbove.\nBelow.\n\n{BEGIN}")
    assert card.count(BEGIN) == card.count(END) == 1


def test_the_joined_card_is_valid_by_the_hubs_own_rules(hub):
    api_of(hub)._validate_yaml(written_over("\ufeff---\ndate: 2020-01-01\nlicense: mit\n---\n# Mine"))


def test_norwegian_and_other_words_are_no_truth_values(hub):
    """YAML 1.1 reads `no`, `on` and `yes` as truth values; the Hub reads words, and refuses `language: false`."""
    card = written_over("---\nlanguage: no\ntags: [on, Yes]\ninference: false\n---\n# Mine", UNKNOWN)
    about = front(card)
    assert about["language"] == ["no"]
    assert about["tags"][-2:] == ["on", "Yes"]
    assert about["inference"] is False
    api_of(hub)._validate_yaml(card)
    assert front(written_over(card, UNKNOWN, before=UNKNOWN))["language"] == ["no"], "and the next time, too"


@pytest.mark.parametrize("wrong", ["a: [", "- a\n- b", "a: !!python/name:os.system", "[" * 5000])
def test_front_matter_that_cannot_be_read_is_named_and_not_thrown_away(wrong):
    with pytest.raises(StiltsError, match=r"README\.md"):
        written_over(f"---\n{wrong}\n---\nText\n")


lines = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=30).map(lambda t: t.replace("hf_", ""))


@settings(deadline=None, max_examples=25)
@given(lines, lines, st.sampled_from(["mit", "apache-2.0", "other"]))
def test_rewriting_is_stable_and_keeps_what_is_around(above, below, licence):
    there = f"---\nlicense: {licence}\n---\n{above}{BEGIN}x{END}{below}"
    once = written_over(there)
    assert once == written_over(once, before=FULL)
    assert body(once).startswith(f"{above}{BEGIN}")
    assert once.rstrip("\n").endswith(f"{END}{below}".rstrip("\n"))
    expected = licence_of(NEXT).id if licence == licence_of(FULL).id else licence
    assert front(written_over(once, NEXT, before=FULL))["license"] == expected
