"""`telecine models`: a folder of weights becomes a model of a running service."""

import json
import shutil
import signal
from pathlib import Path

import av
import pytest
import tiny_mochi

from telecine.backend.model_card import loaded_bytes
from telecine.engine.families.weights_check import check_weights
from telecine.engine.parallel.layout import ParallelConfig

from .conftest import StartUp, assert_nothing_is_left, telecine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # adding a model exports its encoders and starts two servers
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),
]
SIZE = ("--size", "640x352", "--steps", "1", "--duration", "0.2")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("weights") / "mochi"
    tiny_mochi.write_tiny_mochi(folder)
    return folder


def test_a_model_is_added_used_verified_and_removed_while_the_service_runs(
    start_up: StartUp, weights: Path, tmp_path: Path
) -> None:
    data = ("--data-dir", tmp_path / "data")
    up = start_up()
    up.wait_until_up()
    added = telecine("models", "add", "film", "--from", weights, *data)
    assert added.returncode == 0, added.stderr
    assert added.stdout.strip() == "models/film"
    listed = telecine("models", "list", "--json", *data).stdout
    film = json.loads(listed[: listed.index("\n}\n") + 3])
    assert (film["name"], film["state"], film["family"]) == ("models/film", "STATE_READY", "mochi")
    assert film["limits"]["sizes"][0] == {"width": 848, "height": 480}
    made = telecine(
        "generate", "a lighthouse", "--model", "film", *SIZE, *data, "-o", tmp_path / "out.mp4"
    )
    assert made.returncode == 0, made.stderr
    with av.open(tmp_path / "out.mp4") as container:
        frames = list(container.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (7, 640, 352)

    assert telecine("models", "verify", "film", *data).returncode == 0
    onnx = next((tmp_path / "data" / "triton").glob("film__t5_encoder/1/model.onnx"))
    onnx.write_bytes(onnx.read_bytes()[:-1] + b"?")
    verified = telecine("models", "verify", "film", *data)
    assert verified.returncode == 1
    assert "model.onnx" in verified.stderr

    removed = telecine("models", "remove", "film", *data)
    assert removed.returncode == 0, removed.stderr
    assert "film" not in telecine("models", *data).stdout
    assert list((tmp_path / "data" / "triton").iterdir()) == []
    assert up.signal(signal.SIGTERM) == 0
    assert_nothing_is_left(tmp_path / "data")


def test_a_model_that_is_added_before_the_service_starts_is_served_by_it(
    start_up: StartUp, weights: Path, tmp_path: Path
) -> None:
    data = ("--data-dir", tmp_path / "data")
    added = telecine("models", "add", "film", "--from", weights, *data)
    assert added.returncode == 0, added.stderr
    assert "models/film" in telecine("models", *data).stdout
    again = telecine("models", "add", "film", "--from", weights, *data)
    assert again.returncode == 1
    assert "film: there is a model of this name" in again.stderr
    outdated = tmp_path / "data" / "triton" / "film__dit_sampler" / "1" / "model.py"
    outdated.unlink()
    outdated.write_text("from telecine.backend import a_module_that_an_upgrade_has_renamed\n")
    up = start_up()
    up.wait_until_up()
    assert "models/film" in telecine("models", "--server", up.address("gateway"), *data).stdout
    file = tmp_path / "out.mp4"
    made = telecine("generate", "a lighthouse", "--model", "film", *SIZE, *data, "-o", file)
    assert made.returncode == 0, made.stderr
    assert up.signal(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("cut off", "transformer/diffusion_pytorch_model.safetensors: cut off"),
        ("missing", "vae: no diffusion_pytorch_model.safetensors"),
        ("pickled", "vae/pytorch_model.bin: a pickle"),
        ("no index", "model_index.json: No such file"),
    ],
)
def test_weights_that_are_not_whole_are_refused_by_the_file_s_name(
    weights: Path, tmp_path: Path, broken: str, words: str
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(weights, folder)
    network = folder / "vae" / "diffusion_pytorch_model.safetensors"
    match broken:
        case "cut off":
            file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
            file.write_bytes(file.read_bytes()[:-100])
        case "missing":
            network.unlink()
        case "pickled":
            network.unlink()
            (folder / "vae" / "pytorch_model.bin").write_bytes(b"x")
        case _:
            (folder / "model_index.json").unlink()
    data = tmp_path / "data"
    refused = telecine("models", "add", "film", "--from", folder, "--data-dir", data)
    assert refused.returncode == 1
    assert words in refused.stderr.replace("\n", "")
    assert list((data / "models").iterdir()) == []


def test_a_model_is_added_on_several_ranks_or_refused(random_weights: Path, tmp_path: Path) -> None:
    data = ("--from", random_weights, "--data-dir", tmp_path / "data")
    refused = telecine("models", "add", "film", "--tensor-parallel", "2", *data)
    assert refused.returncode == 1
    assert "tensor_parallel_size: 2 ranks cannot share 3 heads" in refused.stderr

    added = telecine("models", "add", "film", "--guidance-parallel", *data)
    assert added.returncode == 0, added.stderr
    config = tmp_path / "data" / "triton" / "film__dit_sampler" / "config.pbtxt"
    assert "guidance_parallel_size" in config.read_text()
    listed = json.loads(telecine("models", "list", "--json", *data[2:]).stdout)
    both = ParallelConfig(guidance_parallel_size=2)
    checked = check_weights(random_weights)
    held = loaded_bytes(checked, target="cpu", weights_mode="full", parallel=both)
    assert int(listed["limits"]["memory_bytes"]) == held
    log = next((tmp_path / "data").rglob("add-film.log")).read_text()
    assert "rank 1: slice ended after 1 steps" in log
