"""The results of a study on the Hub: rows as in the report, pushed again without a change, hand-written text kept."""

import json

import pytest
from huggingface_hub.errors import LocalTokenNotFoundError
from test_study_tables import SCORES, finish, study

from hf_stilts.errors import StiltsError
from hf_stilts.studies import page, push
from hf_stilts.studies.push import push_study
from hf_stilts.studies.tables import study_report

REPO = "me/tried-results"


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """Drawing has tests of its own, and takes seconds."""
    monkeypatch.setattr(push, "study_pictures", lambda report: [])
    monkeypatch.setattr(page, "study_pictures", lambda report, **how: [])


@pytest.fixture
def folder(tmp_path):
    finish(tmp_path / "run", study(), SCORES, leave_out={("50 % & more", 1)})
    return tmp_path / "run"


def card(api, tmp_path):
    path = api.hf_hub_download(REPO, "README.md", repo_type="dataset", cache_dir=tmp_path / "cache")
    return open(path, encoding="utf-8").read()


def commits(api):
    return len(api.list_repo_commits(REPO, repo_type="dataset"))


def test_stock_load_dataset_reads_the_rows_of_the_report(folder, api, client):
    pushed = push_study("tried", folder, "me", api=api)
    report = study_report("tried", folder)
    assert pushed.repo_id == REPO and pushed.missing == 3
    assert pushed.tables == {table.name: len(table.rows) for table in report.tables}
    names = [table.name for table in report.tables]
    loaded = client.python(
        "import json; from datasets import load_dataset\n"
        f"print(json.dumps({{name: load_dataset({REPO!r}, name, split='train').to_list() for name in {names!r}}}))"
    )
    expected = {}
    for table in report.tables:
        columns = list(dict.fromkeys(name for row in table.rows for name in row))
        expected[table.name] = [{column: row.get(column) for column in columns} for row in table.rows]
    assert json.loads(loaded) == json.loads(json.dumps(expected))


def test_pushing_again_changes_nothing_and_keeps_what_was_written(folder, api, tmp_path):
    push_study("tried", folder, "me", api=api)
    first = card(api, tmp_path)
    assert "Whether it is so." in first and "Missing: 3 cells" in first
    before = commits(api)
    assert push_study("tried", folder, "me", api=api).changed == []
    assert commits(api) == before
    written = first.replace("tags:", "license: mit\ntags:", 1) + "\nWritten by hand.\n"
    api.upload_file(path_or_fileobj=written.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
    finish(folder, study(), SCORES)  # the rest
    pushed = push_study("tried", folder, "me", api=api)
    assert "README.md" in pushed.changed and "data/scores.parquet" in pushed.changed
    now = card(api, tmp_path)
    assert "Written by hand." in now and "license: mit" in now and "Missing" not in now and "figures/" not in now
    assert now.count(push.BEGIN_PUSHED) == 1


def test_a_dry_run_changes_nothing(folder, api):
    found = push_study("tried", folder, "me", dry_run=True, api=api)
    assert "data/gains.parquet" in found.changed and "report.html" in found.changed
    assert not api.repo_exists(REPO, repo_type="dataset")


def test_no_access_and_no_hub_are_said(folder, api, faults):
    from hub_fixture import Fault

    faults.add(Fault("POST .*/repos/create", status=403))
    with pytest.raises(StiltsError, match="refuses to write me/tried-results.*hf auth login"):
        push_study("tried", folder, "me", api=api)
    api.endpoint = "http://127.0.0.1:9"
    with pytest.raises(StiltsError, match="does not answer"):
        push_study("tried", folder, "me", api=api)


def test_nobody_logged_in_and_nothing_finished_are_said(tmp_path, folder, api, monkeypatch):
    def nobody(*arguments, **options):
        raise LocalTokenNotFoundError("no token")

    every = {(arm, seed) for arm, runs in SCORES.items() for seed in range(len(runs))}
    finish(tmp_path / "empty", study(), SCORES, leave_out=every)
    with pytest.raises(StiltsError, match="No scores of tried are finished.*hf-stilts study run tried"):
        push_study("tried", tmp_path / "empty", "me", api=api)
    monkeypatch.setattr(api, "whoami", nobody)
    with pytest.raises(StiltsError, match="Nobody is logged in.*hf auth login"):
        push_study("tried", folder, "me", api=api)


@pytest.mark.slow
def test_the_command_prints_what_it_would_push(folder, api, client):
    words = ["hf-stilts", "study", "push", "tried", "--output-dir", str(folder), "--dry-run"]
    printed = client.python(f"import sys; sys.argv = {words!r}\nfrom hf_stilts.cli import main; main()")
    assert "Would push: datasets/" in printed and "/tried-results: " in printed and "3 cells missing" in printed
    assert "data/gains.parquet" in printed
