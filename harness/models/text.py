"""Text encoders: where they come from and what they are; importing this costs no torch.

A BERT comes from a model hub's name, from a local folder, or from random weights of a given architecture. Its
architecture and the SHA-256 of its weights are part of a run's identity. Only token ids are ever fed to it, so that no
tokenizer is needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.spec import EncoderChoice, TextEncoder
from harness.yamlfile import suggest

if TYPE_CHECKING:
    from harness.models.bert import BertEncoder

__all__ = ["UNREAD", "VARIABLE", "Located", "choose", "describe", "load", "locate", "unread"]

VARIABLE = "HARNESS_BERT"
"""Environment variable that takes the place of a suite's text encoder, or holds a folder of encoders by hub name."""
UNREAD = "0" * 64
"""Stands for the SHA-256 of weights that nobody has looked at."""

_BASE: Mapping[str, int | float | str] = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
}
_PUBLISHED: Mapping[str, Mapping[str, int]] = {
    "bert-base-uncased": {},
    "bert-base-chinese": {"vocab_size": 21128},
    "sentence-transformers/all-MiniLM-L6-v2": {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "intermediate_size": 1536,
    },
}
"""What differs from BERT-base in models whose architecture is known without asking a hub."""
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_FOLDER_HINT = (
    f"point {VARIABLE}, or text_encoder of the suite, at a local folder that holds config.json and model.safetensors "
    "(for several encoders: at a folder with one sub-folder per hub name)"
)


@dataclass(frozen=True)
class Located:
    """A text encoder that is at hand; ``folder`` is None where its weights are drawn at random."""

    spec: TextEncoder
    folder: Path | None


def choose(choice: EncoderChoice, variable: str | None) -> EncoderChoice:
    """Let the environment variable, where it is set, take the place of a suite's choice.

    A folder without a ``config.json`` is a collection: encoders are looked up in it by their hub name, and a choice
    that is no hub name stands.
    """
    if not variable:
        return choice
    named = EncoderChoice(folder=variable) if Path(variable).expanduser().is_dir() else EncoderChoice.parse(variable)
    if named.folder is None:
        return named
    folder = Path(named.folder).expanduser()
    if (folder / "config.json").is_file() or not folder.is_dir():
        return EncoderChoice(folder=str(folder.absolute()))
    return EncoderChoice(folder=str((folder / choice.hub).absolute())) if choice.hub else choice


def describe(choice: EncoderChoice, base: Path | None = None) -> TextEncoder:
    """Say what an encoder is without reading its weights or asking a hub; `base` is where relative folders start.

    Raises
    ------
    InputError
        If a folder holds no BERT, a configuration makes no sense, or a hub's model is neither known nor at hand.
    """
    if choice.random is not None:
        config = _random_config(choice.random)
        layers = int(config["num_hidden_layers"])
        name = f"random BERT ({layers} layer{'s' if layers > 1 else ''}, {config['hidden_size']} wide)"
        return TextEncoder(name=name, sha256=None, config=config)
    if choice.folder is not None:
        folder = _folder(choice.folder, base)
        return TextEncoder(name=name_of(choice), sha256=UNREAD, config=_read_config(folder))
    assert choice.hub is not None, "a choice names one of three"
    if choice.hub in _PUBLISHED:
        return TextEncoder(name=choice.hub, sha256=UNREAD, config={**_BASE, **_PUBLISHED[choice.hub]})
    return TextEncoder(name=choice.hub, sha256=UNREAD, config=_read_config(_from_hub(choice.hub, download=False)))


def name_of(choice: EncoderChoice) -> str:
    """Return the name under which records know an encoder that is not random."""
    return choice.hub or Path(choice.folder or "").name


def unread(choice: EncoderChoice) -> TextEncoder:
    """Stand in for an encoder of which nothing but its name is known."""
    return TextEncoder(name=name_of(choice), sha256=UNREAD, config=dict(_BASE))


def locate(
    choice: EncoderChoice,
    base: Path | None = None,
    *,
    download: bool,
    sha256_of: Callable[[Path], str] | None = None,
) -> Located:
    """Find an encoder and the SHA-256 of its weights, from the hub if it may be asked.

    Parameters
    ----------
    choice : EncoderChoice
        Where it comes from.
    base : Path, optional
        Where relative folders start.
    download : bool
        Whether the hub may be asked for what is not on disk.
    sha256_of : callable, optional
        Hashes a file, or remembers its hash.

    Raises
    ------
    InputError
        If it is not there, or is no BERT.
    """
    if choice.random is not None:
        return Located(describe(choice), None)
    if choice.folder is not None:
        folder = _folder(choice.folder, base)
    else:
        assert choice.hub is not None, "a choice names one of three"
        folder = _from_hub(choice.hub, download=download)
    config = _read_config(folder)
    sha256 = (sha256_of or _hash)(_weights(folder))
    return Located(TextEncoder(name=name_of(choice), sha256=sha256, config=config), folder)


def load(spec: TextEncoder, folder: Path | None, *, finetune: bool = True) -> BertEncoder:
    """Build an encoder: with the weights of `folder`, or with random ones from torch's global generator.

    Raises
    ------
    InputError
        If the weights do not fit the architecture.
    """
    from harness.models import bert

    return bert.random_encoder(spec, finetune) if folder is None else bert.pretrained_encoder(spec, folder, finetune)


def _random_config(given: Mapping[str, int | float]) -> dict[str, int | float | str]:
    numbers = [key for key, value in _BASE.items() if not isinstance(value, str)]
    for key, value in given.items():
        where = f"text_encoder.random.{key}"
        if key not in numbers:
            raise InputError(
                f"a BERT has no '{key}'{suggest(key, numbers)}", where=where, hint=f"known: {', '.join(numbers)}"
            )
        if wanted := _wanted(key, value):
            raise InputError(f"expected {wanted}, got {value!r}", where=where, hint="mend the value")
    config = {**_BASE, **given}
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    if "num_attention_heads" not in given and width % heads:
        config["num_attention_heads"] = heads = next(n for n in (12, 8, 4, 2, 1) if width % n == 0)
    if "intermediate_size" not in given:
        config["intermediate_size"] = 4 * width
    if width % heads:
        raise InputError(
            f"{heads} attention heads do not divide a width of {width}",
            where="text_encoder.random.num_attention_heads",
            hint="choose a number of heads that divides hidden_size",
        )
    return _typed(config)


def _wanted(key: str, value: Any) -> str:
    """Say what a number of a configuration should be, if it is not that."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        return "a number"
    if isinstance(_BASE[key], int):
        return "" if value >= 1 and value == int(value) else "a whole number from 1"
    if key.endswith("_prob"):
        return "" if 0 <= value <= 1 else "a number between 0 and 1"
    return "" if value > 0 else "a number above 0"


def _typed(config: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Give every value the kind that it has in BERT-base, so that 0 and 0.0 are the same configuration."""
    return {key: type(base)(config[key]) for key, base in _BASE.items()}


def _folder(text: str, base: Path | None) -> Path:
    folder = Path(text).expanduser()
    folder = folder if folder.is_absolute() or base is None else base / folder
    if not folder.is_dir():
        raise InputError("there is no such folder with a text encoder", where=str(folder), hint=_FOLDER_HINT)
    return folder


def _read_config(folder: Path) -> dict[str, int | float | str]:
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("the folder holds no config.json", where=str(folder), hint=_FOLDER_HINT) from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read it: {error}", where=str(path), hint="get the file anew") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != "bert":
        raise InputError(
            f"the text encoder must be a BERT, and this is {kind or 'something else'}",
            where=str(path),
            hint="use a model whose config.json says model_type bert",
        )
    found = {key: config.get(key, value) for key, value in _BASE.items()}
    for key, value in found.items():
        if not isinstance(_BASE[key], str) and (wanted := _wanted(key, value)):
            raise InputError(f"{key}: expected {wanted}, got {value!r}", where=str(path), hint="get the file anew")
    return _typed(found)


def _weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"the folder holds no weights ({' or '.join(_WEIGHTS)})", where=str(folder), hint="get the whole model"
    )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_hub(name: str, *, download: bool) -> Path:
    """Return the folder of a hub's model: the local copy if there is one, else a download where that is allowed."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    offline = not download or os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    reason = "there is no local copy" + (", and HF_HUB_OFFLINE forbids asking the hub" if download and offline else "")
    for weights in _WEIGHTS:
        for local in (True,) if offline else (True, False):
            try:
                found = Path(
                    huggingface_hub.snapshot_download(
                        name, allow_patterns=["config.json", weights], local_files_only=local
                    )
                )
            except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
                if not local:
                    reason = f"the hub cannot be reached or does not have it ({type(error).__name__})"
                continue
            if (found / weights).is_file():
                return found
    raise InputError(f"text encoder '{name}' is not at hand: {reason}", where="text_encoder", hint=_FOLDER_HINT)
