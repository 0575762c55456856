"""Where callers are told that their videos have ended."""

from telecine.api.guarded_client import GuardedClient, OutsideError
from telecine.errors import InvalidFieldError
from telecine.webhook_settings import WebhookSettings


class WebhookAddresses:
    """What requests and settings name."""

    def __init__(self, settings: WebhookSettings, web: GuardedClient) -> None:
        self._settings = settings
        self._web = web

    def url_for(self, asked: str, tenant: str) -> str:
        """Returns where a video's end is told: as asked, else the tenant's own, else nowhere.

        Raises:
            InvalidFieldError: it is no URL, would never be called, or nothing could be signed for
                the tenant.
        """
        if asked and tenant not in self._settings.secrets:
            raise InvalidFieldError(
                "webhook_url", f"the settings have no webhooks.secrets of the tenant {tenant}"
            )
        url = asked or self._settings.urls.get(tenant, "")
        if url:
            try:
                self._web.require_callable(url)
            except OutsideError as error:
                raise InvalidFieldError("webhook_url", str(error)) from None
        return url
