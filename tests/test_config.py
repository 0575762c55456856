"""Settings come from a TOML file and the environment, and a typo is an error."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError
from submissions import make_submission

from telecine.config import GatewaySettings, QueueSettings, load_settings
from telecine.errors import QueueFullError
from telecine.jobs.fair_scheduler import TIER_WEIGHTS, tier_word
from telecine.jobs.job_store import open_job_store
from telecine.jobs.redis_client import connect_redis
from telecine.webhook_settings import WebhookSettings

TOKENS = (
    '[gateway.auth]\n{}\n[gateway.auth.access_tokens]\nissuer = "a"\naudience = "b"\n'
    'jwks_url = "{}"\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "telecine.toml"
    path.write_text(text)
    return path


def test_defaults_bind_to_this_machine_only() -> None:
    settings = load_settings()
    assert settings.gateway.host == "127.0.0.1"
    assert settings.gateway.max_message_bytes == 4 * 1024 * 1024


def test_file_sets_sections(tmp_path: Path) -> None:
    path = write(tmp_path, '[gateway]\nport = 7000\n[redis]\nurl = "redis://elsewhere:1/0"\n')
    settings = load_settings(path)
    assert settings.gateway.port == 7000
    assert settings.redis.url == "redis://elsewhere:1/0"


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECINE_GATEWAY__PORT", "7001")
    path = write(tmp_path, '[gateway]\nport = 7000\nhost = "0.0.0.0"\n')
    settings = load_settings(path)
    assert (settings.gateway.port, settings.gateway.host) == (7001, "0.0.0.0")


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.gateway.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[gatewey]\nport = 1\n", "gatewey"),
        ("[gateway]\nprot = 1\n", "prot"),
        ("[gateway]\nport = 70000\n", "port"),
        ("[worker]\nlease_seconds = nan\n", "lease_seconds"),
        ("[worker]\nslice_steps = 0\n", "slice_steps"),
        ("[gateway\n", "table"),
        ('[redis]\nurl = "somewhere"\n', r"redis\.url"),
        ("[gateway.auth]\naccess_tokens = {}\n", "issuer"),
        (TOKENS.format("is_required = false", "https://a.test/jwks"), "is_required"),
        (TOKENS.format("is_required = true", "http://a.test/jwks"), "jwks_url"),
        (TOKENS.format("is_required = true", "http://127.0.0.1.a.test/jwks"), "jwks_url"),
        (TOKENS.format("is_required = true", "file:///etc/passwd"), "jwks_url"),
        ('[gateway.tls]\ncert = "cert.pem"\n', "key"),
    ],
)
def test_bad_file_is_refused_by_the_name_of_what_is_wrong(
    tmp_path: Path, text: str, named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as refusal:
        load_settings(write(tmp_path, text))
    assert "\n" not in str(refusal.value)


def test_a_value_that_does_not_fit_stays_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECINE_PROMPTS__EXPANDER_TIMEOUT_SECONDS", "hunter2")
    with pytest.raises(SettingsError, match=r"prompts\.expander_timeout_seconds") as refusal:
        load_settings()
    assert "hunter2" not in str(refusal.value)


def test_typo_in_a_section_s_name_in_the_environment_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TELECINE_GATWAY__PORT", "7001")
    with pytest.raises(SettingsError, match="TELECINE_GATWAY__PORT: there is no section 'gatway'"):
        load_settings()


def test_variables_that_are_no_settings_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings()
    monkeypatch.setenv("TELECINE_API_KEY", "secret")
    monkeypatch.setenv("OTHER__PORT", "1")
    assert load_settings().model_dump() == before.model_dump()


def test_typo_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELECINE_REDIS__URI", "redis://x")
    with pytest.raises(ValueError, match="uri"):
        load_settings()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.toml"):
        load_settings(tmp_path / "absent.toml")


async def test_queue_is_opened_as_it_is_set(redis_url: str) -> None:
    assert QueueSettings().tier_weights.model_dump() == {
        tier_word(tier): weight for tier, weight in TIER_WEIGHTS.items()
    }
    redis = connect_redis(redis_url)
    jobs = open_job_store(redis, QueueSettings(max_queued=1))
    await jobs.submit(make_submission())
    with pytest.raises(QueueFullError):
        await jobs.submit(make_submission())
    await redis.aclose()


@pytest.mark.parametrize(
    "webhooks",
    [
        {"secrets": {"acme": "whsec_c2hvcnQ="}},
        {"secrets": {"acme": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}},
        {"secrets": {"acme": "whsec_!"}},
        {"urls": {"acme": "https://example.com/"}},
    ],
)
def test_webhook_that_could_not_be_signed_is_an_error(webhooks: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"secrets|whsec_"):
        WebhookSettings.model_validate(webhooks)


@pytest.mark.parametrize("url", ["", "https://a.example", "http://10.0.0.1:8080/x/"])
def test_public_url_is_one_that_paths_can_be_put_behind(url: str) -> None:
    assert GatewaySettings(public_url=url).public_url == url


@pytest.mark.parametrize(
    "url",
    ["a.example", "ftp://a.example", "https://", "https://a?b", "https://a/#b", "https://u@a"],
)
def test_public_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="public_url"):
        GatewaySettings(public_url=url)
