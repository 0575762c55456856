"""A file that came of a video, as its video and its events show it."""

from pydantic import BaseModel

from telecine.api.http.enum_words import enum_word
from telecine.v1 import video_pb2


class ArtifactObject(BaseModel):
    """A file that came of a video."""

    id: str
    kind: str
    content_type: str
    size_bytes: int
    digest: str


def artifact_object(artifact: video_pb2.Artifact) -> ArtifactObject:
    """Returns a file as the answer to a request shows it."""
    return ArtifactObject(
        id=artifact.artifact_id,
        kind=enum_word(video_pb2.Artifact.Kind.Name(artifact.kind), "KIND_"),
        content_type=artifact.content_type,
        size_bytes=artifact.size_bytes,
        digest=artifact.digest,
    )
