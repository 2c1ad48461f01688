"""Text encoders: from a hub, a folder or at random; what they are, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.errors import InputError
from harness.models import text
from harness.spec import EncoderChoice, Suite

SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 50}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def save(folder: Path, **changes: Any) -> Path:
    from transformers import BertConfig, BertModel

    settings: dict[str, Any] = {**SMALL, "intermediate_size": 20, **changes}
    BertModel(BertConfig(**settings)).save_pretrained(folder)
    return folder


def tokens(count: int = 3, length: int = 5) -> torch.Tensor:
    batch = torch.zeros(count, 3, length)
    batch[:, 0] = torch.randint(1, 50, (count, length))
    batch[:, 1] = 1
    return batch


def choice_of(value: object) -> EncoderChoice:
    return Suite.model_validate(
        {"name": "t", "datasets": "sims", "models": "MISA", "text_encoder": value}
    ).text_encoder["*"]


def test_short_and_long_forms_in_a_suite() -> None:
    assert choice_of("bert-base-uncased") == EncoderChoice(hub="bert-base-uncased")
    assert choice_of("org/name") == EncoderChoice(hub="org/name")
    assert choice_of("./here") == choice_of({"folder": "./here"}) == EncoderChoice(folder="./here")
    assert choice_of("random") == choice_of({"random": {}}) == EncoderChoice(random={})
    suite = Suite.model_validate(
        {"name": "t", "datasets": "sims", "models": "MISA", "text_encoder": {"en": "a/b", "zh": {"folder": "/c"}}}
    )
    assert suite.text_encoder == {"en": EncoderChoice(hub="a/b"), "zh": EncoderChoice(folder="/c")}


@pytest.mark.parametrize("value", [{"hub": "a", "folder": "b"}, {"en": {}}, 3, {"hub": None}, "", {"folder": ""}])
def test_a_choice_names_one_source(value: object) -> None:
    with pytest.raises(ValidationError):
        choice_of(value)


def test_known_names_need_no_download() -> None:
    english = text.describe(EncoderChoice(hub="bert-base-uncased"))
    chinese = text.describe(EncoderChoice(hub="bert-base-chinese"))
    assert (english.width, english.config["vocab_size"], english.config["num_hidden_layers"]) == (768, 30522, 12)
    assert chinese.config["vocab_size"] == 21128


def test_a_hub_that_is_not_there_names_the_folder_alternative() -> None:
    for download in (True, False):
        with pytest.raises(InputError, match="bert-base-uncased") as caught:
            text.locate(EncoderChoice(hub="bert-base-uncased"), download=download)
        assert "HARNESS_BERT" in caught.value.hint
        assert "folder" in caught.value.hint


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hub address that nobody listens at."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    asked: list[bool] = []

    def refuse(name: str, *, allow_patterns: list[str], local_files_only: bool) -> str:
        del name, allow_patterns
        asked.append(local_files_only)
        raise ConnectionError("refused")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(InputError, match="cannot be reached"):
        text.locate(EncoderChoice(hub="bert-base-uncased"), download=True)
    assert False in asked, "the hub was asked"
    asked.clear()
    with pytest.raises(InputError, match="no local copy"):
        text.locate(EncoderChoice(hub="bert-base-uncased"), download=False)
    assert set(asked) == {True}, "nothing touches the network unless asked"


def test_weights_are_part_of_the_identity_and_the_folders_name_is_not(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = text.locate(EncoderChoice(folder=str(save(tmp_path / "one"))), download=False)
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in (tmp_path / "one").iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    same = text.locate(EncoderChoice(folder="copied"), tmp_path, download=False)
    other = text.locate(EncoderChoice(folder=str(save(tmp_path / "other"))), download=False)
    assert one.spec.sha256 == same.spec.sha256 != other.spec.sha256
    assert one.spec.config == other.spec.config
    assert (one.spec.name, same.spec.name) == ("one", "copied")


def test_pretrained_weights_are_loaded_and_draw_nothing(tmp_path: Path) -> None:
    located = text.locate(EncoderChoice(folder=str(save(tmp_path / "bert"))), download=False)
    before = torch.get_rng_state()
    encoder = text.load(located.spec, located.folder)
    assert torch.equal(before, torch.get_rng_state())
    again = text.load(located.spec, located.folder)
    batch = tokens()
    encoder.eval()
    again.eval()
    states = encoder(batch)
    assert states.shape == (3, 5, 16)
    assert torch.equal(states, again(batch))


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    settings: dict[str, Any] = {**SMALL, "intermediate_size": 20}
    model: Any = BertModel(BertConfig(**settings))
    model.half().save_pretrained(tmp_path / "half")
    located = text.locate(EncoderChoice(folder=str(tmp_path / "half")), download=False)
    encoder = text.load(located.spec, located.folder)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}


def test_random_weights_follow_the_seed() -> None:
    spec = text.describe(EncoderChoice(random=SMALL))
    assert spec.sha256 is None
    assert spec.width == 16
    built = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        built.append(text.load(spec, None).state_dict()["model.embeddings.word_embeddings.weight"])
    assert torch.equal(built[0], built[1])
    assert not torch.equal(built[0], built[2])


def test_masked_tokens_do_not_reach_the_others() -> None:
    torch.manual_seed(1)
    encoder = text.load(text.describe(EncoderChoice(random=SMALL)), None).eval()
    batch = tokens(1, 6)
    batch[:, 1, 4:] = 0
    changed = batch.clone()
    changed[:, 0, 4:] = 9
    assert torch.allclose(encoder(batch)[:, :4], encoder(changed)[:, :4], atol=1e-6)


def test_without_fine_tuning_no_gradient_reaches_it() -> None:
    spec = text.describe(EncoderChoice(random=SMALL))
    assert text.load(spec, None)(tokens()).requires_grad
    assert not text.load(spec, None, finetune=False)(tokens()).requires_grad


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden_sise": 8}, "did you mean 'hidden_size'"),
        ({"hidden_size": 0}, "whole number from 1"),
        ({"hidden_size": 8.5}, "whole number from 1"),
        ({"hidden_dropout_prob": float("nan")}, "expected a number"),
        ({"hidden_dropout_prob": 1.5}, "between 0 and 1"),
        ({"layer_norm_eps": 0}, "above 0"),
        ({"hidden_size": 10, "num_attention_heads": 4}, "do not divide"),
    ],
)
def test_wrong_random_configurations(given: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        text.describe(EncoderChoice(random=given))
    assert "text_encoder.random" in caught.value.where


@given(st.integers(1, 400))
def test_any_width_gets_heads_that_divide_it(width: int) -> None:
    config = text.describe(EncoderChoice(random={"hidden_size": width})).config
    assert width % int(config["num_attention_heads"]) == 0


def test_broken_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        text.locate(EncoderChoice(folder="missing"), tmp_path, download=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no config\.json"):
        text.describe(EncoderChoice(folder=str(empty)))
    (empty / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="cannot read"):
        text.describe(EncoderChoice(folder=str(empty)))
    (empty / "config.json").write_text(json.dumps({"model_type": "roberta"}), encoding="utf-8")
    with pytest.raises(InputError, match="this is roberta"):
        text.describe(EncoderChoice(folder=str(empty)))
    (empty / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    with pytest.raises(InputError, match="no weights"):
        text.locate(EncoderChoice(folder=str(empty)), download=False)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = save(tmp_path / "bert")
    located = text.locate(EncoderChoice(folder=str(folder)), download=False)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be read"):
        text.load(located.spec, folder)
    whole = load_file(str(save(tmp_path / "whole") / "model.safetensors"))
    name = next(key for key in whole if "query.weight" in key)
    save_file({k: v for k, v in whole.items() if k != name}, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of its weights, .*query\.weight"):
        text.load(located.spec, folder)


def test_the_variable_takes_the_place_of_the_choice(tmp_path: Path) -> None:
    folder = save(tmp_path / "models" / "bert-base-uncased")
    hub, drawn = EncoderChoice(hub="bert-base-uncased"), EncoderChoice(random={})
    assert text.choose(hub, None) == text.choose(hub, "") == hub
    assert text.choose(hub, str(folder)).folder == str(folder)
    assert text.choose(drawn, str(folder)).folder == str(folder)
    assert text.choose(hub, str(folder.parent)).folder == str(folder), "a collection by hub name"
    assert text.choose(drawn, str(folder.parent)) == drawn
    assert text.choose(hub, "org/other").hub == "org/other"
    assert text.choose(hub, "random").random == {}
    with pytest.raises(InputError, match="no such folder"):
        text.locate(text.choose(hub, str(tmp_path / "nowhere")), download=False)


def test_the_real_encoder_of_the_package_tells_related_sentences(mini_lm: Path) -> None:
    """Real pretrained weights: a paraphrase lies nearer than an unrelated sentence."""
    from transformers import BertTokenizer

    located = text.locate(EncoderChoice(folder=str(mini_lm)), download=False)
    known = text.describe(EncoderChoice(hub="sentence-transformers/all-MiniLM-L6-v2"))
    assert located.spec.config == known.config
    encoder = text.load(located.spec, located.folder).eval()
    tokenizer: Any = BertTokenizer.from_pretrained(str(mini_lm))
    texts = ["I loved this movie.", "This film was wonderful.", "The train leaves at noon."]
    told = tokenizer(texts, padding=True, return_tensors="pt")
    batch = torch.stack([told["input_ids"], told["attention_mask"], told["token_type_ids"]], dim=1).float()
    with torch.no_grad():
        states = encoder(batch)
    mean = (states * batch[:, 1].unsqueeze(2)).sum(1) / batch[:, 1].sum(1, keepdim=True)
    near, far = (float(torch.cosine_similarity(mean[0], mean[i], dim=0)) for i in (1, 2))
    assert near > far + 0.3


def test_what_the_spec_says_is_what_is_built(tmp_path: Path) -> None:
    """A field of the folder's configuration that the identity does not hold has no effect."""
    torch.manual_seed(1)
    folder = save(tmp_path / "bert")
    located = text.locate(EncoderChoice(folder=str(folder)), download=False)
    batch = tokens(2, 6)
    before = text.load(located.spec, folder).eval()(batch)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "is_decoder": True}), encoding="utf-8")
    again = text.locate(EncoderChoice(folder=str(folder)), download=False)
    assert again.spec == located.spec
    assert torch.equal(text.load(again.spec, folder).eval()(batch), before)


def test_zero_is_zero_point_zero() -> None:
    whole, fraction = (text.describe(EncoderChoice(random={"hidden_dropout_prob": value})) for value in (0, 0.0))
    assert whole.model_dump_json() == fraction.model_dump_json()


@pytest.mark.parametrize("broken", [None, "many", -3, 2.5])
def test_a_configuration_with_a_broken_number(tmp_path: Path, broken: object) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": broken}), encoding="utf-8")
    with pytest.raises(InputError, match="vocab_size: expected a") as caught:
        text.describe(EncoderChoice(folder=str(tmp_path)))
    assert caught.value.where.endswith("config.json")


def test_a_frozen_encoder_has_nothing_to_train() -> None:
    spec = text.describe(EncoderChoice(random=SMALL))
    assert all(p.requires_grad for p in text.load(spec, None).parameters())
    assert not any(p.requires_grad for p in text.load(spec, None, finetune=False).parameters())


def test_a_hash_may_be_remembered(tmp_path: Path) -> None:
    asked: list[Path] = []

    def remember(path: Path) -> str:
        asked.append(path)
        return "f" * 64

    located = text.locate(EncoderChoice(folder=str(save(tmp_path / "bert"))), download=False, sha256_of=remember)
    assert located.spec.sha256 == "f" * 64
    assert [path.name for path in asked] == ["model.safetensors"]
