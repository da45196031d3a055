"""Stock Hub clients against the embedded Hub, unchanged: HF_ENDPOINT and HF_TOKEN are all that is set."""

import hashlib
import os
import subprocess

import huggingface_hub
import numpy as np
import pytest
from hub_fixture import Client, ask, commit_lines
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from packaging.version import Version

from hf_stilts.local_hub import LocalHub, serve


@pytest.fixture
def api(hub) -> HfApi:
    return HfApi(endpoint=hub.url, token="any word")


def card(**fields: str) -> bytes:
    return "\n".join(["---", *(f"{name}: {value}" for name, value in fields.items()), "---", "# Text"]).encode()


def test_models_load_by_name_branch_tag_and_folder_and_offline(client: Client):
    push = """
import os, tempfile, tiny
from huggingface_hub import HfApi
from transformers import XLMRobertaForMaskedLM

os.chdir(tempfile.mkdtemp())
model, tokenizer = XLMRobertaForMaskedLM(tiny.config("xlm-roberta")), tiny.tokenizer("xlm-roberta")
model.lm_head.bias.data.fill_(1.0)
model.push_to_hub("local/tiny", private=True)
tokenizer.push_to_hub("local/tiny")
HfApi().create_tag("local/tiny", tag="step-1")
model.lm_head.bias.data.fill_(2.0)
model.push_to_hub("local/tiny", revision="other/branch")
model.lm_head.bias.data.fill_(3.0)
model.save_pretrained("checkpoint-3")
HfApi().upload_folder(folder_path="checkpoint-3", path_in_repo="checkpoint-3", repo_id="local/tiny")
"""
    load = """
from transformers import AutoModelForMaskedLM, AutoTokenizer
for offline in {}, {"local_files_only": True}:
    for where in {}, {"revision": "step-1"}, {"revision": "other/branch"}, {"subfolder": "checkpoint-3"}:
        print(AutoModelForMaskedLM.from_pretrained("local/tiny", **where, **offline).lm_head.bias[0].item())
    print(AutoTokenizer.from_pretrained("local/tiny", **offline).tokenize("the cat"))
"""
    expected = ["1.0", "1.0", "2.0", "3.0", "['▁the',", "'▁cat']"]
    assert client.python(push + load).split() == expected * 2


@pytest.mark.skipif(
    Version(huggingface_hub.__version__) < Version("2"), reason="this client validates cards at the real Hub only"
)
def test_datasets_metrics_cards_and_files_of_stock_libraries(client: Client):
    print(
        client.python("""
import evaluate, json
from datasets import Dataset, load_dataset
from huggingface_hub import HfApi, HfFileSystem, ModelCard, metadata_update, snapshot_download

Dataset.from_dict({"number": range(10), "text": ["x"] * 10}).push_to_hub("org/data", private=True)
assert load_dataset("org/data", split="train")[3]["number"] == 3
assert [row["number"] for row in load_dataset("org/data", split="train", streaming=True)] == list(range(10))

metric = '''
import datasets
import evaluate
class Share(evaluate.Metric):
    def _info(self):
        number = datasets.Value("int64")
        features = datasets.Features({"predictions": number, "references": number})
        return evaluate.MetricInfo(description="share of equals", citation="", features=features)
    def _compute(self, predictions, references):
        return {"share": sum(p == r for p, r in zip(predictions, references)) / len(references)}
'''
api = HfApi()
api.create_repo("org/share", repo_type="space", space_sdk="static")
api.upload_file(path_or_fileobj=metric.encode(), path_in_repo="share.py", repo_id="org/share", repo_type="space")
assert evaluate.load("org/share").compute(predictions=[1, 2], references=[1, 3]) == {"share": 0.5}

api.create_repo("org/card")
ModelCard("---\\nlicense: mit\\ntags: [a]\\n---\\n# A model").push_to_hub("org/card")
metadata_update("org/card", {"tags": ["a", "b"], "library_name": "transformers"}, overwrite=True)
loaded = ModelCard.load("org/card")
assert loaded.data.tags == ["a", "b"] and loaded.data.license == "mit" and "# A model" in loaded.text
loaded.validate()
try:
    ModelCard("---\\nlicense: {a: b}\\n---\\n").validate()
    raise SystemExit("an invalid card passed")
except ValueError as error:
    assert "license" in str(error)

files = HfFileSystem()
assert files.read_text("org/card/README.md").endswith("# A model")
assert sorted(files.ls("datasets/org/data", detail=False))[-1] == "datasets/org/data/data"
with files.open("spaces/org/share/notes.txt", "w") as file:
    file.write("written")
assert open(snapshot_download("org/share", repo_type="space") + "/notes.txt").read() == "written"
""")
    )


@pytest.mark.slow
def test_hf_commands_of_a_normal_day(client: Client, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/model.safetensors").write_bytes(bytes(1000))
    (tmp_path / "folder/README.md").write_bytes(card(license="mit", tags="[day]"))
    assert "local" in client.hf("auth", "whoami")
    client.hf("repos", "create", "local/day", "--private")
    client.hf("upload", "local/day", str(tmp_path / "folder"), "--commit-message", "a day's work")
    client.hf("repos", "branch", "create", "local/day", "night")
    client.hf("repos", "tag", "create", "local/day", "v1", "-m", "first")
    assert "v1" in client.hf("repos", "tag", "list", "local/day")
    assert "local/day" in client.hf("models", "ls", "--filter", "day", "--format", "json")
    assert '"day"' in client.hf("models", "info", "local/day")
    client.hf("repos", "create", "local/table", "--type", "dataset")
    assert "local/table" in client.hf("datasets", "ls", "--format", "json")
    client.hf("download", "local/day", "--revision", "v1", "--local-dir", str(tmp_path / "copy"))
    assert (tmp_path / "copy/model.safetensors").read_bytes() == bytes(1000)
    client.hf("download", "local/day", "README.md")
    assert "local/day" in client.hf("cache", "ls")
    assert "local/day" in client.hf("repos", "ls")
    client.hf("repos", "delete", "local/table", "--type", "dataset", "--yes")


@pytest.mark.parametrize("xet", ["0", "1"])
def test_large_files_by_both_roads(hub, client: Client, tmp_path, xet: str):
    numbers = np.random.default_rng(0).normal(size=2_000_001).astype(np.float32)
    changed = numbers.copy()
    changed[1000:2000] = 0
    contents = {
        "a.safetensors": numbers.tobytes() + b"odd",  # a length that is no multiple of 4 bytes, for the packing of xet
        "b.safetensors": changed.tobytes(),
        "text.bin": b"how are you? " * 200_000,
        "one.bin": b"1",
        "plain.txt": b"an ordinary file",
    }
    (tmp_path / "folder").mkdir()
    for name, content in contents.items():
        (tmp_path / "folder" / name).write_bytes(content)
    upload = f"""
from huggingface_hub import HfApi
api = HfApi(); api.create_repo("local/large")
for names in ["a*", "text*", "one*", "plain*"], ["b*"]:  # one after the other: then the second finds the first's chunks
    api.upload_folder(repo_id="local/large", folder_path={str(tmp_path / "folder")!r}, allow_patterns=names)
"""
    client.python(upload, HF_HUB_DISABLE_XET=xet)
    api = HfApi(endpoint=hub.url, token="x")
    infos = {info.path: info for info in api.get_paths_info("local/large", list(contents))}
    for name, content in contents.items():
        with open(api.hf_hub_download("local/large", name, local_dir=tmp_path / "copy"), "rb") as file:
            assert file.read() == content
        assert infos[name].size == len(content)
        assert (infos[name].lfs and infos[name].lfs.sha256) == (
            hashlib.sha256(content).hexdigest() if name != "plain.txt" else None
        )
    stored = sum(path.stat().st_size for path in (tmp_path / "hub").rglob("*") if path.is_file())
    if xet == "0":  # two files of 8 MB that differ in 4 kB share their other chunks
        assert stored < 9_000_000


def test_a_new_folder_on_an_old_port_is_not_taken_for_the_old_one(tmp_path):
    """`hf-xet` remembers which chunks it need not send again; it must not do so for a Hub that never had them."""
    upload = """
from huggingface_hub import HfApi
api = HfApi(); api.create_repo("local/again")
api.upload_file(repo_id="local/again", path_in_repo="x.bin", path_or_fileobj=b"how are you? " * 20_000)
"""
    port = 0
    for folder in "old", "new":
        with LocalHub(tmp_path / folder, port=port) as hub:
            port = int(hub.url.rpartition(":")[2])
            Client(hub.environment(), tmp_path / "home").python(upload)


def test_commits_branches_tags_and_history(api: HfApi):
    api.create_repo("org/repo")
    first = api.create_commit(
        "org/repo",
        [
            CommitOperationAdd("a/one.txt", b"1"),
            CommitOperationAdd("a/b/two.txt", b"2"),
            CommitOperationAdd("large.bin", b"3"),
        ],
        commit_message="first",
        commit_description="in two\nlines",
    )
    api.create_branch("org/repo", branch="feature/x", revision=first.oid)
    api.create_tag("org/repo", tag="v1", tag_message="annotated")
    api.create_tag("org/repo", tag="v2", revision=first.oid[:10])
    second = api.create_commit(
        "org/repo",
        [CommitOperationDelete("a/", is_folder=True), CommitOperationCopy("large.bin", "copy.bin")],
        commit_message="second",
        revision="feature/x",
        parent_commit=first.oid,
    )
    assert set(api.list_repo_files("org/repo", revision="feature/x")) == {".gitattributes", "copy.bin", "large.bin"}
    assert set(api.list_repo_files("org/repo", revision="v1")) > {"a/one.txt", "a/b/two.txt"}
    refs = api.list_repo_refs("org/repo")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": first.oid, "feature/x": second.oid}
    assert {ref.name: ref.target_commit for ref in refs.tags} == {"v1": first.oid, "v2": first.oid}
    history = api.list_repo_commits("org/repo", revision="feature/x")
    assert [commit.title for commit in history] == ["second", "first", "initial commit"]
    assert history[1].message == "in two\nlines"
    entries = {each.path: each for each in api.list_repo_tree("org/repo", "a", recursive=True, expand=True)}
    assert set(entries) == {"a/one.txt", "a/b", "a/b/two.txt"}
    assert entries["a/b/two.txt"].last_commit.title == "first"
    with pytest.raises(HfHubHTTPError, match="412"):
        operations = [CommitOperationAdd("late.txt", b"")]
        api.create_commit("org/repo", operations, commit_message="late", parent_commit=second.oid)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_tag("org/repo", tag="v1")
    api.create_tag("org/repo", tag="v1", exist_ok=True)
    api.super_squash_history("org/repo", branch="feature/x", commit_message="one")
    assert [commit.title for commit in api.list_repo_commits("org/repo", revision="feature/x")] == ["one"]
    assert set(api.list_repo_files("org/repo", revision="feature/x")) == {".gitattributes", "copy.bin", "large.bin"}
    api.delete_tag("org/repo", tag="v1")
    api.delete_branch("org/repo", branch="feature/x")
    assert not api.revision_exists("org/repo", "v1") and not api.revision_exists("org/repo", "feature/x")
    with pytest.raises(RevisionNotFoundError):
        api.upload_file(repo_id="org/repo", path_in_repo="x", path_or_fileobj=b"", revision="feature/x")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("org/repo", "nothing.txt")
    with pytest.raises(EntryNotFoundError):
        list(api.list_repo_tree("org/repo", "no/folder"))


def test_an_absent_file_is_asked_for_once(api: HfApi, tmp_path):
    """The client notes in its cache that a commit lacks a file, if the answer says which commit that is."""
    api.create_repo("org/repo")
    commit = api.upload_file(repo_id="org/repo", path_in_repo="a.txt", path_or_fileobj=b"a").oid
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("org/repo", "nothing.txt", cache_dir=tmp_path)
    assert (tmp_path / "models--org--repo/.no_exist" / commit / "nothing.txt").is_file()


def test_what_lies_on_disk_is_git(api: HfApi, tmp_path):
    api.create_repo("org/git")
    operations = [
        CommitOperationAdd("weights.bin", b"w" * 1000),
        CommitOperationAdd("odd name [1].dat", b"d" * (11 << 20)),
    ]
    head = api.create_commit("org/git", operations, commit_message="both").oid
    bare = tmp_path / "hub/models/org/git.git"

    def git(*command: str) -> str:
        index = os.environ | {"GIT_INDEX_FILE": str(tmp_path / "index")}
        command = ["git", "-C", str(bare), *command]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=index).stdout.strip()

    git("fsck", "--strict")
    assert git("rev-parse", "main") == head
    sha256 = hashlib.sha256(b"w" * 1000).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize 1000"
    assert git("show", "main:weights.bin") == pointer
    # A file that no pattern covers got its own line, so that git-lfs knows it is large.
    names = ("weights.bin", "odd name [1].dat", "odd name 1.dat", "README.md")
    git("read-tree", "main")
    attributes = git("check-attr", "--cached", "filter", *names).splitlines()
    assert [line.rpartition(": ")[2] for line in attributes] == ["lfs", "lfs", "unspecified", "unspecified"]


def test_lists_filter_by_what_the_card_says(hub, api: HfApi):
    cards = {
        "org/one": card(tags="[stilts, phase]", base_model="FacebookAI/xlm-roberta-base", license="mit", language="en"),
        "org/two": card(tags="[stilts]", datasets="[nyu-mll/glue]", pipeline_tag="fill-mask", language="[en, sw]"),
        "other/three": b"---\n[broken\n---\n",
    }
    for name, text in cards.items():
        api.create_repo(name)
        # Not by the client, which would refuse the broken one.
        assert ask(hub.url, "POST", f"/api/models/{name}/commit/main", commit_lines({"README.md": text})).status == 200

    def listed(**wanted):
        return sorted(model.id for model in api.list_models(**wanted))

    assert listed() == sorted(cards)
    assert listed(filter="stilts") == ["org/one", "org/two"]
    assert listed(filter=["stilts", "base_model:FacebookAI/xlm-roberta-base"]) == ["org/one"]
    assert listed(filter="base_model:finetune:FacebookAI/xlm-roberta-base") == ["org/one"]
    assert listed(filter=["en", "sw"]) == ["org/two"]
    assert listed(trained_dataset="nyu-mll/glue") == ["org/two"] == listed(pipeline_tag="fill-mask")
    assert listed(filter="license:mit") == ["org/one"]
    assert listed(author="other") == ["other/three"] == listed(search="THREE")
    assert len(listed(limit=2)) == 2
    assert listed(filter="nothing") == []
    full = {model.id: model for model in api.list_models(full=True, cardData=True)}
    assert full["org/one"].card_data.license == "mit" and len(full["org/one"].siblings) == 2
    assert api.model_info("org/two", expand=["tags", "cardData"]).sha is None
    assert api.model_info("other/three").tags == []


def test_long_lists_come_in_pages(api: HfApi):
    api.create_repo("org/pages")
    operations = [CommitOperationAdd(f"{number:04}.txt", b"") for number in range(1005)]
    api.create_commit("org/pages", operations, commit_message="many")
    assert len(list(api.list_repo_tree("org/pages"))) == 1006  # the page of 1000, the rest, .gitattributes


def test_collections(api: HfApi):
    api.create_repo("org/one")
    collection = api.create_collection("A study", description="of three", private=True)
    assert api.create_collection("A study", exists_ok=True).slug == collection.slug
    api.add_collection_item(collection.slug, "org/one", "model", note="first")
    collection = api.add_collection_item(collection.slug, "2005.13013", "paper")
    assert [(item.item_id, item.note) for item in collection.items] == [("org/one", "first"), ("2005.13013", None)]
    with pytest.raises(HfHubHTTPError, match="409"):
        api.add_collection_item(collection.slug, "org/one", "model")
    api.update_collection_item(collection.slug, collection.items[1].item_object_id, position=0, note="read this")
    api.update_collection_metadata(collection.slug, title="Our study")
    found = api.get_collection(collection.slug)
    assert [item.item_id for item in found.items] == ["2005.13013", "org/one"] and found.title == "Our study"
    assert [each.slug for each in api.list_collections(owner="local")] == [collection.slug]
    assert list(HfApi(endpoint=api.endpoint, token=False).list_collections()) == []
    api.delete_collection_item(collection.slug, found.items[0].item_object_id)
    api.delete_collection(collection.slug)
    with pytest.raises(HfHubHTTPError, match="404"):
        api.get_collection(collection.slug)


def test_repositories_are_made_moved_and_deleted(api: HfApi):
    assert str(api.create_repo("repo", repo_type="dataset")).endswith("/datasets/local/repo")
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("local/repo", repo_type="dataset")
    assert api.create_repo("local/repo", repo_type="dataset", exist_ok=True).repo_id == "local/repo"
    api.create_repo("local/repo", repo_type="space", space_sdk="gradio")  # the three kinds do not share names
    assert api.space_info("local/repo").sdk == "gradio"
    api.move_repo("local/repo", "org/moved", repo_type="dataset")
    assert not api.repo_exists("local/repo", repo_type="dataset")
    api.delete_repo("org/moved", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info("org/moved")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("bert-base-uncased")


def test_private_repositories_are_seen_with_a_valid_token_only(tmp_path):
    with LocalHub(tmp_path / "hub", token="secret") as hub:
        owner, nobody, liar = (HfApi(endpoint=hub.url, token=token) for token in ("secret", False, "guess"))
        assert owner.whoami()["name"] == "local"
        owner.create_repo("org/hidden", private=True)
        owner.create_repo("org/open")
        for repository in "org/hidden", "org/missing":  # one answer for both
            with pytest.raises(RepositoryNotFoundError, match="401"):
                nobody.model_info(repository)
        assert nobody.model_info("org/open").private is False
        assert [model.id for model in nobody.list_models()] == ["org/open"]
        assert sorted(model.id for model in owner.list_models()) == ["org/hidden", "org/open"]
        for client in nobody, liar:
            with pytest.raises(HfHubHTTPError, match="401"):
                client.create_repo("org/new")
            with pytest.raises(HfHubHTTPError, match="401"):
                client.upload_file(repo_id="org/open", path_in_repo="x.bin", path_or_fileobj=b"x")
        with pytest.raises(HfHubHTTPError, match="Invalid user token"):
            liar.whoami()
        with pytest.raises(HfHubHTTPError, match="401"):
            liar.create_branch("org/open", branch="x")
        owner.update_repo_settings("org/hidden", private=False)
        assert nobody.file_exists("org/hidden", ".gitattributes")


def test_other_machines_are_let_in_with_a_token_only(tmp_path):
    with pytest.raises(ValueError, match="--token"):
        serve(tmp_path, host="0.0.0.0")


def test_one_folder_is_served_once(hub, tmp_path):
    with pytest.raises(ValueError, match="another process"), LocalHub(tmp_path / "hub"):
        pass
    port = int(hub.url.rpartition(":")[2])
    with pytest.raises(ValueError, match="--port"), LocalHub(tmp_path / "other", port=port):
        pass
    with LocalHub(tmp_path / "other"):
        pass
