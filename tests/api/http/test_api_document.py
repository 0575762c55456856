"""The OpenAPI document is checked in, current, and says what the routes take."""

from httpx2 import AsyncClient

from write_api_document import DOCUMENT, document_text


def test_checked_in_document_is_current() -> None:
    assert DOCUMENT.read_text() == document_text(), "run scripts/write_api_document.py"


async def test_gateway_serves_that_document(http: AsyncClient) -> None:
    served = (await http.get("/openapi.json")).json()
    create = served["paths"]["/v1/videos"]["post"]
    assert set(create["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert served["paths"].keys() >= {"/v1/videos/{video_id}/content", "/v1/models"}
    form = served["components"]["schemas"]["CreateForm"]["properties"]["input_reference"]
    assert form == {"type": "string", "format": "binary"}
    track = {
        name: served["components"]["schemas"][name]["properties"]["input_audio"]
        for name in ("CreateForm", "EditForm", "ExtendForm", "RemixForm")
    }
    assert all(field == form for field in track.values()), track
    remix = served["paths"]["/v1/videos/{video_id}/remix"]["post"]["requestBody"]["content"]
    assert remix["multipart/form-data"]["schema"]["$ref"].endswith("/RemixForm")
    assert "prompt" in served["components"]["schemas"]["CreateBody"]["required"]
