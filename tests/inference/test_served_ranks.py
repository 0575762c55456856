"""Samplers that lead a group of ranks, through the real server: what they make and how they end."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tiny_ltx2
import tiny_wan
from random_family import DIT, write_random_family
from rank_processes import are_gone, model_process, ranks_of
from tiny_mochi import write_tiny_mochi

from telecine.backend.model_repository import describe_model
from telecine.engine.families import load_family
from telecine.engine.families.prompt_encoder import PromptEncoder
from telecine.engine.parallel.layout import ParallelConfig
from telecine.engine.state import DenoiseState
from telecine.errors import ModelServerUnavailableError
from telecine.inference.model_configs import write_configs
from telecine.inference.requests import PromptEmbeds, SliceRequest, StepResult
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

pytestmark = [
    pytest.mark.slow,
    *(pytest.mark.filterwarnings(f"ignore::{kind}Warning") for kind in ("User", "Future")),
]

SOURCE = Path(__file__).parents[2] / "model_repository" / "toybox__dit_sampler" / "1" / "model.py"
RANK_TIMEOUT_SECONDS = 8
# Sums are taken in another order: float32's last bits, grown over the steps of a small network.
TOLERANCE = 1e-5
LAYOUTS = {
    "one": ParallelConfig(),
    "sequence": ParallelConfig(sequence_parallel_size=2),
    "four": ParallelConfig(tensor_parallel_size=2, guidance_parallel_size=2),
    "wanone": ParallelConfig(),
    "wanfour": ParallelConfig(tensor_parallel_size=2, sequence_parallel_size=2),
    "mochione": ParallelConfig(),
    "mochifour": ParallelConfig(sequence_parallel_size=2, guidance_parallel_size=2),
    "ltx2one": ParallelConfig(),
    "ltx2four": ParallelConfig(sequence_parallel_size=2, guidance_parallel_size=2),
}
OPEN_WEIGHTS = {
    "wan": {"sampler": "unipc", "height": 48, "width": 48},
    "mochi": {"num_frames": 13},
    "ltx2": {**tiny_ltx2.SIZE, "audio_mode": "JOINT"},
}
"""What is asked of each, beside what is asked of toybox."""


def family_of(model: str) -> str:
    return next((family for family in OPEN_WEIGHTS if model.startswith(family)), "toybox")


def write_sampler(repository: Path, model: str, weights: Path) -> None:
    """The sampler alone: no other role has ranks."""
    description = replace(describe_model(model, str(weights)), parallel_sizes=LAYOUTS[model].sizes)
    folder = repository / f"{model}__dit_sampler"
    (folder / "1").mkdir(parents=True)
    shutil.copyfile(SOURCE, folder / "1" / "model.py")
    patience = (
        f'{{ key: "rank_timeout_seconds" value {{ string_value: "{RANK_TIMEOUT_SECONDS}" }} }}'
    )
    config = write_configs(description)["dit_sampler"]
    (folder / "config.pbtxt").write_text(f"{config}parameters {patience}\n")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("ranks")
    write_random_family(folder / "toybox", replace(DIT, num_heads=4))
    sizes = tiny_wan.WanSizes(num_heads=4, head_dim=12)
    tiny_wan.write_wan(folder / "wan", "2.2", sizes=sizes)
    write_tiny_mochi(folder / "mochi")
    tiny_ltx2.write_tiny_ltx2(folder / "ltx2", "2.3")
    for model in LAYOUTS:
        write_sampler(folder / "repository", model, folder / family_of(model))
    return folder / "repository"


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[TritonServer]:
    log = repository.parent / "triton.log"
    config = TritonServerConfig.on_free_ports(repository, log, loads_models=False)
    with TritonServer(config) as running:
        yield running


@dataclass(frozen=True)
class Group:
    """A model whose sampler runs."""

    model: str
    leader: int
    ranks: list[int]


def group_of(server: TritonServer, model: str) -> Group:
    assert server.pid is not None
    leader = model_process(server.pid, f"{model}__dit_sampler")
    return Group(model, leader, ranks_of(leader))


@pytest.fixture
async def group(server: TritonServer, client: TritonClient) -> Group:
    """Two ranks, which a test may break: the next one has it repaired."""
    await client.repair("sequence")
    await client.load_model("sequence")
    return group_of(server, "sequence")


def request_for(weights: Path, slice_request: SliceRequest) -> SliceRequest:
    """The same of another family, two prompts of which differ in length."""
    encoder = PromptEncoder(load_family(str(weights)))

    def encode(text: str) -> PromptEmbeds:
        tensors = {name: tensor[0].numpy() for name, tensor in encoder.encode(text).items()}
        return PromptEmbeds(tensors, num_tokens=9, max_tokens=512, is_truncated=False)

    prompts = {"prompt": encode("a red circle"), "negative_prompt": encode("blue")}
    return replace(slice_request, **prompts, **OPEN_WEIGHTS[weights.name])


async def run(client: TritonClient, model: str, request: SliceRequest) -> list[StepResult]:
    return [result async for result in client.denoise_slice(model, request)]


def last_state(results: list[StepResult]) -> bytes:
    state = results[-1].state
    assert state
    return state


def difference(found: bytes, expected: bytes) -> float:
    """Of the picture's latents or the sound's, whichever is larger."""
    one, other = (DenoiseState.from_bytes(each) for each in (found, expected))
    pairs = [(one.latents, other.latents)]
    if one.audio_latents is not None and other.audio_latents is not None:
        pairs.append((one.audio_latents, other.audio_latents))
    return max(float((left - right).abs().max() / right.abs().max()) for left, right in pairs)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30.0):
        while not condition():  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "model", [name for name, layout in LAYOUTS.items() if layout.num_ranks > 1]
)
async def test_ranks_make_what_one_process_makes_and_go_on_from_its_checkpoint(
    server: TritonServer,
    client: TritonClient,
    repository: Path,
    slice_request: SliceRequest,
    model: str,
) -> None:
    one, request, family = "one", slice_request, family_of(model)
    if family in OPEN_WEIGHTS:
        one = f"{family}one"
        request = await asyncio.to_thread(request_for, repository.parent / family, slice_request)
    await client.load_model(one)
    whole = last_state(await run(client, one, request))
    half = last_state(await run(client, one, replace(request, num_steps=2)))
    await client.load_model(model)
    group = group_of(server, model)
    assert len(group.ranks) == LAYOUTS[model].num_ranks - 1

    own_half = await run(client, model, replace(request, num_steps=2))
    own = await run(client, model, replace(request, num_steps=2, state=last_state(own_half)))
    resumed = await run(client, model, replace(request, num_steps=2, state=half))
    back = await run(client, one, replace(request, num_steps=2, state=last_state(own_half)))

    for results in (own, resumed, back):
        assert difference(last_state(results), whole) < TOLERANCE
    # The layout is a part of what the last bits depend on.
    assert [results[-1].is_numerics_changed for results in (own, resumed, back)] == [
        False,
        True,
        True,
    ]
    await client.unload_model(model)
    await until(lambda: are_gone([group.leader, *group.ranks]))


async def test_cancel_stops_every_rank_within_a_step(
    server: TritonServer,
    client: TritonClient,
    group: Group,
    slice_request: SliceRequest,
    endless_request: SliceRequest,
) -> None:
    log = server.config.log_file
    start = log.stat().st_size
    async with aclosing(client.denoise_slice(group.model, endless_request)) as results:
        async for result in results:
            if result.step_index == 3:
                break
    expected = await run(client, group.model, slice_request)  # by the same ranks
    assert expected[-1].state
    assert group_of(server, group.model) == group

    text = log.read_bytes()[start:].decode()
    (sent,) = re.findall(r"cancelled after (\d+) responses", text)
    first, *_ = re.findall(r"rank 1: slice ended after (\d+) steps", text)
    assert int(first) == int(sent)


async def test_bad_request_leaves_the_ranks_as_they_were(
    server: TritonServer, client: TritonClient, group: Group, slice_request: SliceRequest
) -> None:
    whole = last_state(await run(client, group.model, slice_request))
    other_seed = replace(slice_request, state=whole, seed=6, num_inference_steps=8, num_steps=1)
    with pytest.raises(Exception, match="of another job"):
        await run(client, group.model, other_seed)
    assert last_state(await run(client, group.model, slice_request)) == whole
    assert group_of(server, group.model) == group


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "rank 1 has ended with -9"), (signal.SIGSTOP, "lost a rank")],
    ids=["killed", "hung"],
)
async def test_slice_of_a_lost_rank_is_resumed_by_a_new_group(
    server: TritonServer,
    client: TritonClient,
    group: Group,
    slice_request: SliceRequest,
    number: signal.Signals,
    reason: str,
) -> None:
    whole = last_state(await run(client, group.model, slice_request))
    half = last_state(await run(client, group.model, replace(slice_request, num_steps=2)))
    endless = replace(slice_request, num_inference_steps=100_000, num_steps=100_000)
    with pytest.raises(ModelServerUnavailableError, match=reason) as raised:
        async for result in client.denoise_slice(group.model, endless):
            if result.step_index == 3:
                os.kill(group.ranks[0], number)
    assert raised.value.dead_model == f"{group.model}__dit_sampler"
    assert are_gone(group.ranks)

    await client.repair(group.model)
    rest = await run(client, group.model, replace(slice_request, num_steps=2, state=half))
    assert last_state(rest) == whole
    assert not rest[-1].is_numerics_changed
    await until(lambda: are_gone([group.leader]))  # Triton ends it a little later
    assert len(group_of(server, group.model).ranks) == 1


async def test_rank_that_dies_between_slices_is_noticed_by_the_next(
    client: TritonClient, group: Group, slice_request: SliceRequest
) -> None:
    os.kill(group.ranks[0], signal.SIGKILL)
    await until(lambda: are_gone(group.ranks))
    with pytest.raises(ModelServerUnavailableError, match="lost a rank"):
        await run(client, group.model, slice_request)


async def test_ranks_end_with_their_leader(group: Group) -> None:
    os.kill(group.leader, signal.SIGKILL)
    await until(lambda: are_gone(group.ranks))


async def test_ranks_end_with_the_server(
    server: TritonServer, client: TritonClient, endless_request: SliceRequest
) -> None:
    await asyncio.to_thread(server.restart)
    await client.load_model("sequence")
    group = group_of(server, "sequence")
    assert server.pid is not None
    with pytest.raises(ModelServerUnavailableError):
        async for _ in client.denoise_slice("sequence", endless_request):
            os.kill(server.pid, signal.SIGKILL)
    await until(lambda: are_gone([group.leader, *group.ranks]))


async def test_stopped_server_leaves_no_rank(server: TritonServer, client: TritonClient) -> None:
    await asyncio.to_thread(server.restart)
    async with asyncio.timeout(60.0):
        while not await client.is_ready():  # noqa: ASYNC110 - its connection waits before it tries
            await asyncio.sleep(0.1)
    await client.load_model("sequence")
    group = group_of(server, "sequence")
    await asyncio.to_thread(server.stop)
    await until(lambda: are_gone([group.leader, *group.ranks]))
