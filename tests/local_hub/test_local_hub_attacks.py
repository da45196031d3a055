"""What one holder of a token stores takes the embedded Hub from nobody else."""

import json

import pytest
from hub_fixture import ask, commit_lines
from huggingface_hub import HfApi

from hf_stilts.local_hub import card as cards
from hf_stilts.local_hub.card import problems, read_card

HEADS = {
    "no bool": "a: !!bool foo",
    "no int": 'a: !!int ""',
    "no float": "a: !!float ''",
    "no time": "a: !!timestamp foo",
    "no date": "a: 2020-99-99",
    "half a character": 'a: "\\ud800"',
    "no number for JSON": "a: 0x" + "f" * 6000,
    "long number": "a: 1" + ":1" * 100_000,
    "deep": "a: " + "- " * 60_000,
    "merges of merges": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 15)),
    "long": "tags:\n" + "- abcdef\n" * 200_000,
    "list": "- a",
}


@pytest.mark.parametrize("case", HEADS)
def test_a_card_that_cannot_be_read_is_no_metadata_and_takes_no_listing_down(hub, case: str):
    api = HfApi(endpoint=hub.url, token="x")
    for name in "org/bad", "org/good":
        api.create_repo(name)
    good = commit_lines({"README.md": b"---\nlicense: mit\n---\n"})
    assert ask(hub.url, "POST", "/api/models/org/good/commit/main", good).status == 200
    content = f"---\n{HEADS[case]}\n---\nA model.".encode()
    assert ask(hub.url, "POST", "/api/models/org/bad/commit/main", commit_lines({"README.md": content})).status == 200
    listed = {each.id: each.card_data and each.card_data.to_dict() for each in api.list_models(full=True)}
    assert listed == {"org/bad": None, "org/good": {"license": "mit"}}
    assert api.model_info("org/bad").card_data is None
    answer = ask(hub.url, "POST", "/api/validate-yaml", {"content": content.decode(), "repoType": "model"})
    assert answer.status == 400 and answer.json()["errors"]


@pytest.mark.parametrize("line", ["self: 1", "ignore_metadata_errors: 1", "tags: 5", "tags: [5]"])
@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_a_field_over_which_stock_clients_stumble_is_not_sent(hub, kind: str, line: str):
    api = HfApi(endpoint=hub.url, token="x")
    api.create_repo("org/bad", repo_type=kind, space_sdk="static" if kind == "space" else None)
    lines = commit_lines({"README.md": f"---\nlicense: mit\n{line}\n---\n".encode()})
    assert ask(hub.url, "POST", f"/api/{kind}s/org/bad/commit/main", lines).status == 200
    listed = {"model": api.list_models, "dataset": api.list_datasets, "space": api.list_spaces}[kind](full=True)
    assert [each.card_data.to_dict() for each in listed] == [{"license": "mit"}]
    assert list(problems(read_card(f"---\n{line}\n---\n")))


def test_a_bad_head_is_read_once(monkeypatch):
    loads = []
    load = cards.yaml.load
    monkeypatch.setattr(cards.yaml, "load", lambda *given: loads.append(1) or load(*given))
    for _ in range(3):
        with pytest.raises(ValueError, match="YAML"):
            read_card("---\nread once: !!bool foo\n---\n")
    assert len(loads) == 1


def test_what_a_card_holds_is_kept_where_json_can_say_it():
    head = "a: 1_000\nb: 0x1f\nc: 1.5\nd: .nan\ne: 2020-01-01\nf: yes\ng: &g [x]\nh: *g\n1: é\n"
    card = read_card(f"---\n{head}---\n")
    expected = {"a": 1000, "b": 31, "c": 1.5, "d": None, "e": "2020-01-01", "f": True, "g": ["x"], "h": ["x"], "1": "é"}
    assert json.loads(json.dumps(card)) == expected
