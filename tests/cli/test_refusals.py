"""Bad input gets one clear line, an exit code other than 0, and no traceback."""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from prunelab.models.folders import EMBEDDED

Command = Callable[..., Any]

# Command lines that are refused before anything heavy is imported, and what their line must say.
CONFIGURATIONS = {
    "scorer=magnitud": ("unknown scorer 'magnitud'", "did you mean 'magnitude'?", "latent_shift"),
    "model=tiny_t2": ("unknown model 'tiny_t2'", "did you mean 'tiny_t2v'?"),
    "hydra/launcher=basik": ("unknown hydra/launcher 'basik'", "did you mean 'basic'?"),
    "experiment=demmo": ("unknown experiment 'demmo'", "did you mean 'demo'?"),
    "scorr=magnitude": ("unknown key 'scorr'", "did you mean 'scorer'?", "experiment", "sparsity"),
    "scorer.sampels=4": ("unknown key 'scorer.sampels'", "did you mean 'samples'?"),
    "evaluation.timing.warm=1": ("unknown key 'evaluation.timing.warm'", "did you mean 'warmup'?"),
    "scorer.samples.each=1": ("unknown key 'scorer.samples.each'", "scorer.samples holds no keys"),
    "nothing.like.this=1": ("unknown key 'nothing'",),
    "recovery=none recovery.examples=4": ("unknown key 'recovery.examples'", "method"),
    "rnu": ("unknown job 'rnu'", "did you mean 'run'?", "plan, pretrain, report"),
    "job=plan": ("a job is a word of its own",),
    "path=not/there": ("no diffusers model at not/there", "model_index.json"),
    "plan path=not/there": ("no diffusers model at not/there", "model_index.json"),
    "report path=not/there": ("no report.json below path=not/there",),
    "report": ("no report.json below path=None", "prunelab report path=FOLDER"),
    "plan sparsity": ("cannot read the command line", "write sparsity=VALUE", "the job is plan"),
    "plan report": ("cannot read the command line", "plan and report are two jobs"),
    "-r -m seed=1,2": ("--run and --multirun exclude each other",),
    "-m seed=1,2 -c job": ("--multirun and --cfg exclude each other",),
    "--resolve": ("--resolve goes with --cfg or --help",),
    "-c jb": ("cannot read the command line", "'job', 'hydra', 'all'"),
    "--experimental-rerun x": ("would open a pickle",),
    "-sc install=bsh": ("cannot read the command line", "No completion plugin for 'bsh'"),
    "-sc": ("cannot read the command line", "Expecting one subcommand"),
    "-cn nothing": ("the configuration does not compose", "'nothing'"),
    "-cp not/there": ("the configuration does not compose", "not/there"),
    "-m hydra/launcher=rq seed=0,1": ("'rq': it is not installed, pip install 'hydra-rq-launcher'",),
    "-m hydra/sweeper=ax seed=0,1": ("'ax': it is not installed, pip install 'hydra-ax-sweeper'",),
    "--confg job": ("cannot read the command line", "--help"),
    "--config-dir not/there": ("not/there is no folder",),
    "sparsity=1.0": ("sparsity=1.0 is outside [0, 1)",),
    "sparsity=-0.1": ("sparsity=-0.1 is outside [0, 1)",),
    "sparsity=nan": ("sparsity=nan is outside [0, 1)",),
    "sparsity=much": ("sparsity=much is outside [0, 1)",),
    "sparsity={denoiser:1.5}": ("sparsity={denoiser:1.5} is outside [0, 1)",),
    "sparsity=0.1,0.3": ("sparsity=0.1,0.3 is a sweep", "prunelab -m"),
    "-m sparsity=0.1,1.2": ("sparsity=1.2 is outside [0, 1)",),
    "sweep=t2i_operators": ("stands for many jobs", "prunelab -m"),
    "devices=0": ("devices=0 is not a number of processes",),
    "seed=-1": ("seed=-1",),
    "scorer.samples=many": ("scorer.samples=many is not a whole number",),
    "scorer.samples=4.5": ("scorer.samples=4.5 is not a whole number",),
    "scorer.guidance=nan": ("scorer.guidance=nan is not a number",),
    "scorer.squared=2": ("scorer.squared=2 is not true or false",),
    "evaluation.timing=2": ("evaluation.timing.KEY=VALUE",),
    "budget.of=weights": ("budget.of=weights is unknown", "elements, parameters, macs, latency"),
    "scorer=magnitude scorer.reduce=max": ("scorer.reduce=max is unknown", "mean, sum"),
    "weights=rnadom": ("weights=rnadom is unknown", "pretrained, random"),
    "precision=half": ("precision=half is unknown", "16-mixed"),
    "trainer=cpu trainer.strategy=none": ("trainer.strategy=none is unknown", "auto, ddp"),
    "evaluation.samples=1": ("evaluation.samples=1 is too small: at least 2",),
    "evaluation.timing.repeats=0": ("evaluation.timing.repeats=0 is too small: at least 1",),
    "recovery.examples=0": ("recovery.examples=0 is too small: at least 1",),
    "recovery.schedule.decay=linear": ("decay=linear is unknown", "cosine, constant"),
    "granularity=[]": ("granularity=[] names nothing",),
}
# What the declarations of the classes refuse, and the parts and places that a configuration names.
DECLARED = {
    # numbers out of range, wherever they are declared
    "recovery.schedule.ema=1.5": ("recovery.schedule.ema=1.5 is too large", "below 1"),
    "recovery.schedule.betas=[0.9]": ("recovery.schedule.betas=[0.9] are not two numbers",),
    "recovery.schedule.learning_rate=-1": ("learning_rate=-1 is too small", "above 0"),
    "recovery.schedule.clip=-1": ("recovery.schedule.clip=-1 is too small",),
    "recovery.schedule.warmup=-1": ("recovery.schedule.warmup=-1 is too small: at least 0",),
    "recovery.schedule.steps=0": ("recovery.schedule.steps=0 is too small: at least 1",),
    "recovery.schedule.batch_size=0": ("recovery.schedule.batch_size=0 is too small",),
    "recovery.method.drop=1.5": ("recovery.method.drop=1.5 is too large: at most 1",),
    "recovery.schedule.clip=inf": ("recovery.schedule.clip=inf is not a number",),
    "scorer=learned_gates scorer.schedule.ema=nan": ("scorer.schedule.ema=nan is not a number",),
    "scorer=learned_gates scorer.schedule=null": ("scorer.schedule=null is not a part",),
    "scorer=taylor scorer.threshold=1": ("scorer.threshold=1 is too large",),
    "scorer.samples=0": ("scorer.samples=0 is too small: at least 1",),
    "scorer.batch_size=0": ("scorer.batch_size=0 is too small: at least 1",),
    "scorer.steps=0": ("scorer.steps=0 is too small: at least 1",),
    "rounds=0": ("rounds=0 is too small: at least 1",),
    "evaluation.real=1": ("evaluation.real=1 is too few: at least 2, or 0 for none",),
    "evaluation.timing.batches=[0]": ("evaluation.timing.batches=[0] are not whole numbers",),
    "data.train_size=0": ("data.train_size=0 is too small: at least 1",),
    "budget=owl budget.spread=0.5": ("budget.spread=0.5 is too large", "below 0.5"),
    "model.pretrain.denoiser_schedule.ema=1": ("model.pretrain.denoiser_schedule.ema=1 is too large",),
    "task=t2i_clip judge.device=gpu0": ("judge.device=gpu0 is no device: cpu, cuda",),
    **{
        f"{key}=99999999999999999999": (f"{key}=99999999999999999999 is too large: at most ",)
        for key in (
            "scorer.samples",
            "evaluation.samples",
            "recovery.examples",
            "recovery.schedule.steps",
            "seed",
        )
    },
    # of another kind
    "granularity=[head,head]": ("granularity=[head,head] names nothing, or something twice",),
    "components=null": ("components=null names nothing",),
    "sparsity=[0.3]": ("sparsity=[0.3] is outside [0, 1)",),
    "seed=1.5": ("seed=1.5 is not a whole number",),
    "seed=true": ("seed=true is not a whole number",),
    "devices=1e9": ("is not a number of processes",),
    "trainer.accelerator=banana": ("trainer.accelerator=banana is unknown: choose from auto, cpu",),
    "path=": ("path='' is not the path of a file or folder",),
    "group=3": ("group=3 is not a text",),
    # parts that are not there, and ones that cannot be
    "scorer=null": ("unknown scorer 'null'", "magnitude"),
    **{
        f"~{group}": (f"{group}", "is no part of a job")
        for group in ("scorer", "data", "task", "recovery", "trainer")
    },
    "~judge": ("task.labels=${judge.labels} refers to what is not there",),
    "evaluation.timing=null": ("evaluation.timing=null is no part of a job",),
    "task.metrics=[1]": ("task.metrics=[1] is no list of metrics",),
    "scorer._target_=nothing.like.this": ("there is no module 'nothing'", "--config-dir"),
    "+scorer.nonsense=1": ("unknown key 'scorer.nonsense'", "samples"),
    "scratch=true recovery=none": ("scratch=true", "recovery=distill"),
    "hydra.launcher=null": ("hydra.launcher starts nothing",),
    # references
    "store='${nope}'": ("store=${nope} refers to what is not there",),
    "scorer.samples='${scorer.samples}'": ("scorer.samples=${scorer.samples} refers to what is not there",),
    "hydra.run.dir='${nope}'": ("hydra.run.dir refers to what is not there",),
    # sweeps that are none
    "sparsity=interval(0.1,0.5)": (
        "sparsity=interval(0.1,0.5) lists no values",
        "prunelab -m sparsity=one,two",
    ),
    "-m sparsity=interval(0.1,0.5)": ("lists no values",),
    "-m scorer=glob(*)": ("scorer=glob(*) lists no values",),
    "-m seed=range(0,1000000000)": ("no sweep of 1 to 1000 values",),
    "-m seed=range(0,1,0)": ("seed=range(0,1,0) is no sweep",),
    # places
    "store=/dev/null/store": ("store=/dev/null/store", "/dev/null is something else"),
    "hydra.run.dir=/dev/null": ("hydra.run.dir=/dev/null", "/dev/null is something else"),
}

# The same with characters that no shell line splits well.
ODD = {
    "path='a\tb'": ("path='a\\tb' is not the path",),
    "path=' '": ("path=' ' is not the path",),
    f"store={'x' * 300}": ("store=xxx", "is not the path"),
    "group='a\nb'": ("group='a\\nb' is not a text",),
    "group=a\0b": ("cannot read the command line",),
    "group=\udcff": ("cannot read the command line",),
}

SMALL = (
    "logger=none",
    "data.train_size=64",
    "data.test_size=64",
    "evaluation.samples=8",
    "evaluation.real=64",
    "evaluation.held_out=8",
)
# Command lines that are refused by the parts they name, and before any forward pass.
PARTS = {
    "scorer.ddof=32": ("scorer.ddof=32 leaves nothing of scorer.samples=32",),
    "scorer=latent_shift granularity=weight": (
        "cannot score granularity=weight",
        "gates equal their removal",
    ),
    "scorer=magnitude granularity=blok": ("unknown granularity 'blok'", "block"),
    "granularity=[operator,block]": ("operator and block units overlap",),
    "scorer=magnitude granularity=neuron components=[vae]": ("has no neuron units in vae",),
    "components=denoisr": ("unknown component 'denoisr'", "denoiser, text_encoder, vae"),
    "budget=uniform granularity=operator": ("budget=uniform", "granularity=head or neuron"),
    "granularity=head sparsity=0.9 budget.of=parameters": ("cannot be met", "at most sparsity=0.17"),
    "sparsity={denoiser:0.3}": ("budget=per_component",),
    "budget=per_component sparsity={denoisr:0.3}": ("sparsity names 'denoisr'", "denoiser"),
    "evaluation.real=65": ("65 held-out examples", "has 64"),
    "task=uig model=tiny_t2i": ("tiny_t2i or the judge cannot take", "(1, 16, 16)", "data=..."),
}


def refused(ended: Any, *pieces: str) -> None:
    assert ended.code == 1
    assert ended.out == []
    assert ended.err == ended.refusals
    assert len(ended.err) == 1
    for piece in pieces:
        assert piece in ended.err[0]


@pytest.mark.parametrize("words", {**CONFIGURATIONS, **DECLARED})
def test_a_configuration_that_cannot_be(command: Command, tmp_path: Path, words: str) -> None:
    refused(command(*words.split(), store=tmp_path / "store"), *{**CONFIGURATIONS, **DECLARED}[words])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ODD)
def test_characters_that_do_not_print(command: Command, tmp_path: Path, word: str) -> None:
    refused(command(word, store=tmp_path / "store"), *ODD[word])


@pytest.fixture
def no_forward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component fails as soon as it is used for more than one sample, from which units are read."""

    def watched(forward: Any) -> Any:
        @functools.wraps(forward)
        def used(*arguments: Any, **keywords: Any) -> Any:
            given = [each for each in (*arguments, *keywords.values()) if isinstance(each, torch.Tensor)]
            if max(len(each) for each in given if each.ndim) > 1:
                raise AssertionError("a forward pass")
            return forward(*arguments, **keywords)

        return used

    for kind in (diffusers.UNet2DConditionModel, diffusers.AutoencoderKL, transformers.CLIPTextModel):
        monkeypatch.setattr(kind, "forward", watched(kind.forward))


@pytest.mark.usefixtures("no_forward_pass")
@pytest.mark.parametrize("words", PARTS)
def test_parts_that_do_not_fit(command: Command, tmp_path: Path, words: str) -> None:
    job = [word for word in words.split() if "=" not in word]  # stands first
    ended = command(*job, *SMALL, *words.split()[len(job) :], store=tmp_path / "store")
    refused(ended, *PARTS[words])
    assert ended.computed == []


def test_help_and_configuration_errors_import_nothing_heavy(tmp_path: Path) -> None:
    """In a process of its own, as this one has imported everything."""
    code = """
import json, sys
from prunelab.cli import main
codes = []
for words in json.loads(sys.argv.pop()):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as stop:
        codes.append(stop.code)
heavy = {"torch", "diffusers", "transformers", "lightning", "datasets", "wandb", "numpy"}
print(json.dumps([codes, sorted(heavy & set(sys.modules))]))
"""
    configurations = [words.split() for words in (*list(CONFIGURATIONS)[::3], *list(DECLARED)[::15])]
    lines = [["--help"], ["--cfg", "job"], *configurations]
    command = [sys.executable, "-c", code, json.dumps(lines)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    codes, imported = json.loads(result.stdout.splitlines()[-1])
    assert codes == [0, 0] + [1] * len(configurations)
    assert imported == []
    assert "JOB: run" in result.stdout


def test_a_refusal_of_a_real_process(tmp_path: Path) -> None:
    """``python -m prunelab`` in its own process: what libraries print when they load would show here."""
    words = ["-m", "prunelab", *SMALL, "evaluation.real=65"]
    result = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 1
    assert result.stdout == ""
    announced, refusal = result.stderr.splitlines()
    assert announced.startswith("prunelab run: tiny_t2i")
    assert refusal.startswith("prunelab: the evaluation asks for 65 held-out examples")


def broken_index(folder: Path) -> None:
    (folder / "model_index.json").write_text("{")


def truncated_weights(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def missing_weights(folder: Path) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def missing_component(folder: Path) -> None:
    shutil.rmtree(folder / "text_encoder")


def broken_config(folder: Path) -> None:
    (folder / "unet" / "config.json").write_text('{"_class_name": "UNet2DConditionModel", "sample_size": ')


DAMAGES = {
    broken_index: "is broken or incomplete",
    truncated_weights: "fetch it again",
    missing_weights: "has no weights",
    missing_component: "is broken",
    broken_config: "is broken or incomplete",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_broken_model_folder(command: Command, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "model"
    shutil.copytree(EMBEDDED / "tiny_t2i", folder)
    damage(folder)
    refused(command(f"path={folder}", *SMALL, store=tmp_path / "store"), str(folder), DAMAGES[damage])


def with_a_weight(folder: Path, value: float) -> Path:
    """The embedded model with one weight of another value."""
    shutil.copytree(EMBEDDED / "tiny_t2i", folder)
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = {name: tensor.float() for name, tensor in load_file(file).items()}
    weights["down_blocks.0.resnets.0.conv1.weight"][0, 0, 0, 0] = value
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_a_weight_that_is_not_a_number(command: Command, tiny: list[str], tmp_path: Path) -> None:
    folder = with_a_weight(tmp_path / "model", torch.nan)
    ended = command(*tiny, "scorer=magnitude", f"path={folder}", store=tmp_path / "store")
    refused(ended, "down_blocks.0.resnets.0.conv1.weight is not finite")
    assert not list((tmp_path / "store").glob("score-*"))


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model with a weight that is finite and too large for what is computed with it."""
    return with_a_weight(tmp_path_factory.mktemp("large") / "model", 3e38)


def test_scores_that_are_not_numbers(
    command: Command, tiny: list[str], overflowing: Path, tmp_path: Path
) -> None:
    few = ["scorer=latent_shift", "scorer.samples=2", "scorer.steps=1"]
    ended = command(*tiny, *few, f"path={overflowing}", store=tmp_path / "store")
    assert (ended.code, ended.out) == (1, [])
    assert len(ended.refusals) == 1
    assert "are not finite" in ended.refusals[0]
    assert not list((tmp_path / "store").glob("score-*"))


def test_a_model_whose_outputs_are_not_numbers(
    command: Command, tiny: list[str], overflowing: Path, tmp_path: Path
) -> None:
    """Random scores are finite whatever the weights are; the evaluation sees it."""
    ended = command(*tiny, "scorer=random", f"path={overflowing}", store=tmp_path / "store")
    assert (ended.code, ended.out, len(ended.refusals)) == (1, [], 1)
    assert "values that are not finite" in ended.refusals[0]
