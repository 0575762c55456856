"""`telecine models`: what the server's models take."""

from google.protobuf import json_format

from telecine.cli.console import output, plain_table
from telecine.cli.options import DataDirOption, JsonOption, ServerOption, connect
from telecine.v1 import model_pb2


def models(data_dir: DataDirOption, server: ServerOption = "", json: JsonOption = False) -> None:
    """List the models with their limits."""
    with connect(server, data_dir) as client:
        found = client.list_models()
    if json:
        for model in found:
            output.print_json(json_format.MessageToJson(model, preserving_proto_field_name=True))
        return
    table = plain_table("name", "state", "sizes", "frames", "steps", "samplers")
    for model in found:
        table.add_row(model.name, *_limits(model))
    output.print(table)


def _limits(model: model_pb2.Model) -> tuple[str, ...]:
    limits = model.limits
    state = model_pb2.Model.State.Name(model.state).removeprefix("STATE_").lower()
    sizes = ", ".join(f"{size.width}x{size.height}" for size in limits.sizes)
    frames = f"{limits.min_num_frames} to {limits.max_num_frames}"
    steps = f"{limits.min_num_inference_steps} to {limits.max_num_inference_steps}"
    return state, sizes, frames, steps, ", ".join(limits.samplers)
