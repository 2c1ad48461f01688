"""What is asked for: data set definitions, suites, run specs, and the content address of a run.

Everything here is validated on construction, frozen, and free of I/O. Names are the field's: *variant* is one of
``original`` (the model as published), ``fg`` (every named sub-feature group of every modality gets its own
extractor), ``a`` and ``v`` (acoustic or visual modality alone), after Section 4.3 of the paper.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "MODALITIES",
    "SPLITS",
    "SPLIT_OF_VARIANT",
    "VARIANTS",
    "Convention",
    "DataSetting",
    "DatasetSpec",
    "EncoderChoice",
    "FineGrainedOptions",
    "GateOptions",
    "Modality",
    "NonVerbal",
    "Plugin",
    "ReportOptions",
    "Resources",
    "RunData",
    "RunSpec",
    "SettingName",
    "Shapes",
    "SplitName",
    "Suite",
    "SyntheticSpec",
    "Task",
    "TextEncoder",
    "Variant",
]

Task: TypeAlias = Literal["regression", "classification"]
Variant: TypeAlias = Literal["original", "fg", "a", "v"]
Modality: TypeAlias = Literal["text", "audio", "vision"]
NonVerbal: TypeAlias = Literal["audio", "vision"]
Convention: TypeAlias = Literal["mosei", "sims"]
SettingName: TypeAlias = Literal["aligned", "unaligned"]
SplitName: TypeAlias = Literal["train", "valid", "test"]

MODALITIES: tuple[Modality, ...] = ("text", "audio", "vision")
SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")
VARIANTS: tuple[Variant, ...] = ("original", "fg", "a", "v")
SPLIT_OF_VARIANT: Mapping[Variant, tuple[NonVerbal, ...]] = {
    "original": (),
    "fg": ("audio", "vision"),
    "a": ("audio",),
    "v": ("vision",),
}
"""Which modalities a variant asks to split, before the data set says which of them it can."""


def _as_tuple(value: Any) -> Any:
    """Let a YAML author write one item where a list is meant."""
    if value is None or isinstance(value, (list, tuple)):
        return value
    return (value,)


def _unique(values: tuple[Any, ...], noun: str) -> tuple[Any, ...]:
    seen: set[str] = set()
    for value in values:
        key = json.dumps(value, sort_keys=True, default=str)
        if key in seen:
            raise ValueError(f"{noun} {value!r} is listed twice")
        seen.add(key)
    return values


class _Frozen(BaseModel):
    """Validated, immutable, and strict about unknown keys."""

    # NaN must not turn into null, or two different runs would share an address.
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Shapes(_Frozen):
    """Feature widths and sequence lengths per modality; ``text`` is the width of the ready text features."""

    widths: dict[Modality, Annotated[int, Field(ge=1)]]
    lengths: dict[Modality, Annotated[int, Field(ge=1)]]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for field in ("widths", "lengths"):
            missing = [m for m in MODALITIES if m not in getattr(self, field)]
            if missing:
                raise ValueError(f"{field} must name text, audio and vision; missing: {', '.join(missing)}")
        return self


class DataSetting(_Frozen):
    """One feature file of a data set: the aligned or the unaligned one."""

    file: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    lengths: dict[Modality, Annotated[int, Field(ge=1)]]


class SyntheticSpec(_Frozen):
    """How a synthetic set is drawn: whose layout it copies, how many samples, how long, and from which seed."""

    like: str = "sims"
    samples: dict[SplitName, Annotated[int, Field(ge=1)]] = {"train": 240, "valid": 96, "test": 160}
    lengths: dict[Modality, Annotated[int, Field(ge=1)]] = {"text": 8, "audio": 12, "vision": 10}
    seed: Annotated[int, Field(ge=0)] = 0
    noise: Annotated[float, Field(ge=0)] = 1.0


class DatasetSpec(_Frozen):
    """The definition of a data set: everything the harness needs to know besides the feature file itself.

    Groups are the named sub-features of Section 3.3 in column order; the widths of a modality's groups add up to
    the modality's width. ``convention`` picks the metric definitions, ``hyperparameters`` the column of MMSA's
    configuration that models take their defaults from. ``repeat_single_steps`` repeats an utterance's one acoustic or
    visual vector to the text length for models that pack it by the text lengths (MISA).
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]
    title: str
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    convention: Convention
    hyperparameters: Literal["mosi", "mosei", "sims"]
    label_range: tuple[float, float]
    widths: dict[Modality, Annotated[int, Field(ge=1)]]
    groups: dict[NonVerbal, dict[str, Annotated[int, Field(ge=1)]]] = {}
    settings: dict[SettingName, DataSetting]
    samples: dict[SplitName, Annotated[int, Field(ge=1)]] | None = None
    unimodal_labels: bool = False
    repeat_single_steps: bool = False
    tools: dict[Modality, str] = {}
    source: str = ""
    synthetic: SyntheticSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        low, high = self.label_range
        if not low < high:
            raise ValueError(f"label_range must rise, got [{low}, {high}]")
        if missing := [m for m in MODALITIES if m not in self.widths]:
            raise ValueError(f"widths must name text, audio and vision; missing: {', '.join(missing)}")
        if not self.settings:
            raise ValueError("settings needs 'aligned' or 'unaligned', or both")
        for modality, groups in self.groups.items():
            if not groups:
                raise ValueError(f"groups.{modality} is empty: leave the modality out if it has no named sub-features")
            total = sum(groups.values())
            if total != self.widths[modality]:
                raise ValueError(
                    f"groups.{modality} add up to {total}, but widths.{modality} is {self.widths[modality]}"
                )
        for name, setting in self.settings.items():
            if missing := [m for m in MODALITIES if m not in setting.lengths]:
                raise ValueError(f"settings.{name}.lengths is missing: {', '.join(missing)}")
            if (setting.file is None) != (self.synthetic is not None):
                wrong = "is missing" if setting.file is None else "and synthetic exclude each other"
                raise ValueError(f"settings.{name}.file {wrong}")
        return self

    def splits(self, variant: Variant) -> tuple[NonVerbal, ...]:
        """Return the modalities that `variant` really splits here: those asked for that have two groups or more."""
        return tuple(m for m in SPLIT_OF_VARIANT[variant] if len(self.groups.get(m, {})) > 1)

    def canonical(self, variant: Variant) -> Variant | None:
        """Return the variant whose record holds `variant`, or None where the data set gives it nothing to split.

        Where only one modality has groups, ``fg`` splits the same as ``a`` (or ``v``): one record, kept as ``fg``.
        """
        split = self.splits(variant)
        if variant == "original":
            return variant
        if not split:
            return None
        return "fg" if split == self.splits("fg") else variant

    def shapes(self, setting: SettingName) -> Shapes:
        """Return widths and lengths of one feature file."""
        return Shapes(widths=self.widths, lengths=self.settings[setting].lengths)


class FineGrainedOptions(_Frozen):
    """The open choices of the fine-grained method; the defaults reproduce the printed costs.

    ``qkv`` -- ``shared``: one set of W_Q, W_K, W_V for all groups (what the printed Params need);
    ``per_head``: one set per group (Equation 7 as written).
    ``attention`` -- ``groups``: at each time step every group attends to all groups; ``time``: each group attends
    to its own time steps (Equation 7 as written; with a single step its weights are 1 and W_Q, W_K idle).
    ``scale`` -- what the scores are divided by: the square root of h, or nothing.
    ``cell_states`` -- in LSTMCell models (MFN, Graph-MFN), ``combined``: every group starts each step from the
    recombined state; ``own``: from its own state, and the recombined one goes to the rest of the model alone.
    """

    qkv: Literal["shared", "per_head"] = "shared"
    attention: Literal["groups", "time"] = "groups"
    scale: Literal["sqrt_h", "none"] = "sqrt_h"
    cell_states: Literal["combined", "own"] = "combined"


class EncoderChoice(_Frozen):
    """Where a text encoder comes from: a model hub's name, a local folder, or random weights of some architecture.

    ``random`` holds fields of a BERT configuration, such as ``hidden_size`` and ``num_hidden_layers``; what it leaves
    out is as in BERT-base.
    """

    hub: Annotated[str, Field(min_length=1)] | None = None
    folder: Annotated[str, Field(min_length=1)] | None = None
    random: dict[str, int | float] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("hub", "folder", "random") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"name one of hub, folder and random; got {', '.join(given) or 'none'}")
        return self

    @classmethod
    def parse(cls, text: str) -> EncoderChoice:
        """Read the short form: ``random``, a folder if it starts with ``.``, ``/`` or ``~``, else a hub's name."""
        if text == "random":
            return cls(random={})
        return cls(folder=text) if text.startswith((".", "/", "~")) else cls(hub=text)


def _encoder_choices(value: Any) -> Any:
    """Let a suite name one text encoder for all languages, in the long form or the short one."""
    if value is None:
        return {}
    if isinstance(value, str):
        return {"*": EncoderChoice.parse(value)}
    if isinstance(value, dict):
        if set(value) & set(EncoderChoice.model_fields):
            return {"*": value}
        return {key: EncoderChoice.parse(item) if isinstance(item, str) else item for key, item in value.items()}
    return value


class TextEncoder(_Frozen):
    """The text encoder of a run: its architecture, and the SHA-256 of its weights.

    ``config`` holds the fields of a BERT configuration that shape the network; without ``sha256`` the weights are
    drawn at random from the run's own seed. ``name`` is for people and no part of a run's identity.
    """

    name: str
    sha256: str | None
    config: dict[str, int | float | str]

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.config["hidden_size"])


class RunData(_Frozen):
    """The data of one run: which file by content, how it is shaped, and the groups of the modalities that it splits.

    Groups of modalities that a run leaves whole are not in it: regrouping vision costs no new run of -a. ``repeated``
    names the modalities whose single step the run repeats to the text length; ``shapes`` counts them repeated.
    """

    dataset: str
    setting: SettingName
    sha256: str
    convention: Convention
    hyperparameters: Literal["mosi", "mosei", "sims"]
    synthetic: bool
    shapes: Shapes
    groups: dict[NonVerbal, tuple[tuple[str, int], ...]]
    repeated: tuple[NonVerbal, ...] = ()


class Plugin(_Frozen):
    """Whose model a run trains: the name of a file, folder or entry point, and a fingerprint of its sources."""

    name: str
    sha256: str


class RunSpec(_Frozen):
    """Everything that is asked for and can change the numbers of one run; its hash is the run's identity."""

    schema_version: Literal[1] = 1
    model: str
    task: Task
    variant: Variant
    plugin: Plugin | None = None
    data: RunData
    hyper: dict[str, Any]
    text_encoder: TextEncoder | None = None
    finegrained: FineGrainedOptions | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1)]
    max_epochs: Annotated[int, Field(ge=1)]
    sources: str

    @functools.cached_property
    def run_id(self) -> str:
        """The content address: 16 hexadecimal digits over everything above but two things that change no prediction.

        Metrics are computed from stored predictions, so their convention is no reason to train again; nor is a text
        encoder's or a plug-in's name.
        """
        asked = self.model_dump(mode="json")
        del asked["data"]["convention"]
        if asked["text_encoder"]:
            del asked["text_encoder"]["name"]
        if asked["plugin"]:
            del asked["plugin"]["name"]
        else:
            del asked["plugin"]
        canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy with changes; the copy works its address out anew."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("run_id", None)
        return copied

    @property
    def split(self) -> tuple[NonVerbal, ...]:
        """The modalities that this run splits into groups."""
        return tuple(m for m in SPLIT_OF_VARIANT[self.variant] if m in self.data.groups)

    @property
    def label(self) -> str:
        """A short name for people: ``LF-DNN-fg synthetic regression seed 1111``."""
        suffix = "" if self.variant == "original" else f"-{self.variant}"
        return f"{self.model}{suffix} {self.data.dataset} {self.task} seed {self.seed}"


class ReportOptions(_Frozen):
    """What the report of a suite shows."""

    metrics: tuple[str, ...] | None = None
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    baseline: Variant = "original"
    figures: bool = True
    costs: bool = True


class GateOptions(_Frozen):
    """How ``harness gate`` judges a suite against its baseline.

    ``alpha`` is the chance of one false alarm or more in the whole gate, one-sided. ``floors`` are differences that
    are too small to matter, by metric, or by ``*`` for all accuracies and F1: fractions, so that half a point is 0.005.
    ``metrics`` narrows the family of comparisons, which makes each of them sharper. ``exact`` says what it means
    when values move on the very machine and versions of the baseline: a line in the report, or a failure.
    """

    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    floors: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    metrics: tuple[str, ...] | None = None
    exact: Literal["report", "fail"] = "report"


class Resources(_Frozen):
    """What a run needs besides its threads: no part of its identity, since none of it changes a number.

    ``memory_gib`` is a bound on the memory of the run's processes, ``gpus`` the share of a GPU that it takes (a half
    lets two on one; no run uses two GPUs), ``time_limit`` a bound in seconds.
    """

    memory_gib: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    gpus: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    time_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None


class Suite(_Frozen):
    """A benchmark as people write it: data sets x tasks x models x variants x seeds, and what to report."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
    title: str = ""
    description: str = ""
    datasets: Annotated[tuple[str | dict[str, Any], ...], Field(min_length=1), BeforeValidator(_as_tuple)]
    tasks: Annotated[
        tuple[Task, ...],
        Field(min_length=1, validation_alias=AliasChoices("tasks", "task")),
        BeforeValidator(_as_tuple),
    ] = ("regression",)
    models: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_as_tuple)]
    plugins: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    variants: Annotated[tuple[Variant, ...], Field(min_length=1), BeforeValidator(_as_tuple)] = VARIANTS
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=1), BeforeValidator(_as_tuple)
    ] = (1111, 1112, 1113, 1114, 1115)
    threads: Annotated[int, Field(ge=1)] = 1
    max_epochs: Annotated[int, Field(ge=1)] = 200
    time_limit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    resources: dict[str, Resources] = {}
    hyper: dict[str, dict[str, Any]] = {}
    finegrained: FineGrainedOptions = FineGrainedOptions()
    text_encoder: Annotated[dict[str, EncoderChoice], BeforeValidator(_encoder_choices)] = {}
    report: ReportOptions = ReportOptions()
    gate: GateOptions = GateOptions()

    @field_validator("datasets", "tasks", "models", "plugins", "variants", "seeds")
    @classmethod
    def _no_repeats(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return _unique(values, "entry")

    def resources_of(self, model: str) -> Resources:
        """Return what a run of `model` needs: its own entry over that of ``*``, and `time_limit` where neither says."""
        merged: dict[str, Any] = {"time_limit": self.time_limit}
        for key in ("*", model):
            if key in self.resources:
                merged |= self.resources[key].model_dump(exclude_none=True)
        return Resources(**merged)
