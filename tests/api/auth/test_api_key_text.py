"""An API key is recognised, random, and compared in constant time."""

import hmac

import pytest

from telecine.api.auth.api_key_text import ApiKeyText


def test_a_key_reads_back_as_it_was_written() -> None:
    key = ApiKeyText.draw()
    assert ApiKeyText.parse(str(key)) == key
    assert str(key).startswith(f"tc_{key.key_id}_")
    assert len(str(key)) == 3 + 16 + 1 + 43


def test_no_two_keys_are_alike() -> None:
    keys = [ApiKeyText.draw() for _ in range(200)]
    assert len({key.key_id for key in keys}) == len({key.secret for key in keys}) == 200


@pytest.mark.parametrize("change", ["{}x", "x{}", " {}", "{}\n", "sk{}", "{}=", ""])
def test_another_form_is_no_key(change: str) -> None:
    assert ApiKeyText.parse(change.format(ApiKeyText.draw())) is None


@pytest.mark.parametrize("length", [0, 1, 62, 64, 1000])
def test_a_key_of_another_length_is_no_key(length: int) -> None:
    text = str(ApiKeyText.draw())
    assert ApiKeyText.parse((text * 20)[:length]) is None


def test_only_its_own_digest_fits() -> None:
    key, other = ApiKeyText.draw(), ApiKeyText.draw()
    assert key.is_secret_of(key.digest)
    assert not key.is_secret_of(other.digest)
    assert not key.is_secret_of(None)
    assert key.secret.encode() not in key.digest


def test_digests_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = hmac.compare_digest
    compared: list[tuple[bytes, bytes]] = []

    def noting(left: bytes, right: bytes) -> bool:
        compared.append((left, right))
        return compare(left, right)

    monkeypatch.setattr(hmac, "compare_digest", noting)
    key, other = ApiKeyText.draw(), ApiKeyText.draw()
    for digest in (key.digest, other.digest, None):
        key.is_secret_of(digest)
    # One that is not there is compared as well: its absence takes as long.
    stored = (key.digest, other.digest, bytes(32))
    assert compared == [(key.digest, digest) for digest in stored]
